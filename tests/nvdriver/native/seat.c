#define _GNU_SOURCE /* F_OFD_SETLK */
#include "seat.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEATS = 1024 };

/* A seat is a lock on one byte of a file, held by a descriptor of its own: the kernel gives it back when a process is
 * killed. */
int seat_take(long limit) {
    char path[4096];
    const char *control = getenv("CUDA_STAND_IN_CONTROL");
    snprintf(path, sizeof path, "%s.seats", control ? control : "/tmp/nvdriver");
    int seat = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    for (off_t place = 0; place < (limit > 0 ? limit : SEATS); place++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = place, .l_len = 1};
        if (fcntl(seat, F_OFD_SETLK, &lock) == 0) {
            return seat;
        }
    }
    close(seat);
    return -1;
}

void seat_leave(int seat) {
    close(seat);
}
