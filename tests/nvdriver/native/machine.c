/* What CUDA takes of the system at its start, and does not start without, as those report who shut it in: it reads
 * /proc and /sys, names its threads, reserves address space for the memory of cards and machine, and listens on a local
 * socket for processes that would share its memory. */
#define _GNU_SOURCE
#include "cuda.h"

#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { RESERVED_GIB = 40 };

static int opens(const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC);
    if (file >= 0) {
        close(file);
    }
    return file >= 0;
}

static int reads(void) {
    static const char *const paths[] = {"/sys/devices/system/cpu/possible", "/proc/devices", "/proc/self/maps",
                                        "/proc/sys/vm/mmap_min_addr"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!opens(paths[i], O_RDONLY)) {
            return 0;
        }
    }
    return 1;
}

static void *name_thread(void *named) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/comm", (long)syscall(SYS_gettid));
    int file = open(path, O_RDWR | O_CLOEXEC);
    *(int *)named = file >= 0 && write(file, "cuda-EvtHandlr", 14) == 14;
    if (file >= 0) {
        close(file);
    }
    return NULL;
}

static int names_threads(void) {
    int named = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, name_thread, &named) == 0) {
        pthread_join(thread, NULL);
    }
    return named;
}

static int reserves(void) {
    size_t bytes = (size_t)RESERVED_GIB << 30;
    int file = memfd_create("cuda", MFD_CLOEXEC);
    if (file >= 0) {
        close(file);
    }
    return file >= 0 &&
           mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static int listens(void) {
    struct stat space;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int file = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (file < 0 || stat("/proc/self/ns/pid", &space) != 0) {
        return 0;
    }
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "cuda-uvmfd-%lu-%d",
                          (unsigned long)space.st_ino, (int)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    return bind(file, (struct sockaddr *)&address, size) == 0 && listen(file, 16) == 0;
}

int machine_found(Line *line) {
    char device[256];
    control_text("device_file", "", device, sizeof device);
    if (device[0] && !opens(device, O_RDWR)) {
        return NO_DEVICE;
    }
    int found[] = {reads(), names_threads(), reserves(), listens()};
    static const char *const names[] = {"reads", "names_threads", "reserves", "listens"};
    int result = CUDA_SUCCESS;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        line_number(line, names[i], found[i]);
        result = found[i] ? result : OPERATING_SYSTEM;
    }
    return result;
}
