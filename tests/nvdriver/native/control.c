#include "control.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CONTROL_BYTES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char text[CONTROL_BYTES]; /* "\nname=value\nname=value\n" */
static struct stat read_as;

/* The file is replaced by rename, so another inode or time means another content; a stat costs about a microsecond. */
static void refresh(void) {
    const char *path = getenv("CUDA_STAND_IN_CONTROL");
    struct stat now;
    if (path == NULL || stat(path, &now) != 0) {
        text[0] = '\0';
        return;
    }
    if (now.st_ino == read_as.st_ino && now.st_mtim.tv_sec == read_as.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == read_as.st_mtim.tv_nsec && text[0] != '\0') {
        return;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    text[0] = '\n';
    size_t got = fread(text + 1, 1, CONTROL_BYTES - 2, file);
    text[1 + got] = '\0';
    fclose(file);
    read_as = now;
}

void control_text(const char *name, const char *otherwise, char *into, unsigned long bytes) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\n%s=", name);
    pthread_mutex_lock(&lock);
    refresh();
    const char *found = strstr(text, wanted);
    const char *value = found ? found + strlen(wanted) : otherwise;
    size_t length = found ? strcspn(value, "\n") : strlen(value);
    snprintf(into, bytes, "%.*s", (int)length, value);
    pthread_mutex_unlock(&lock);
}

long control_number(const char *name, long otherwise) {
    char value[64];
    control_text(name, "", value, sizeof value);
    return value[0] ? strtol(value, NULL, 10) : otherwise;
}
