#include "log.h"

#include "ledger.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* After so much from one process the calls of single frames are no longer written; a long run stays bounded. */
enum { LOG_BYTES = 64 << 20 };

static const char *const of_frames[] = {"nvEncEncodePicture",   "nvEncLockBitstream",     "nvEncUnlockBitstream",
                                        "nvEncLockInputBuffer", "nvEncUnlockInputBuffer", "nvEncMapInputResource",
                                        "cuMemcpy2D_v2",        "nvEncUnmapInputResource", "cuCtxPushCurrent_v2",
                                        "cuCtxPopCurrent_v2",   "cuMemcpy2DAsync_v2"};

static int file = -1;
static size_t written;

__attribute__((constructor)) static void open_log(void) {
    const char *path = getenv("CUDA_STAND_IN_LOG");
    if (path) {
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    }
}

static void append(Line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(Line *line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line->parameters + line->used, LINE_BYTES - line->used, format, arguments);
    va_end(arguments);
    if (more > 0 && line->used + (size_t)more < LINE_BYTES) {
        line->used += (size_t)more;
    } else {
        line->parameters[line->used] = '\0'; /* a parameter too many is left out rather than cut */
    }
}

static const char *comma(const Line *line) {
    return line->used && line->parameters[line->used - 1] != '{' ? "," : "";
}

void line_begin(Line *line, const char *call) {
    line->call = call;
    line->used = 0;
    line->parameters[0] = line->violation[0] = '\0';
}

void line_number(Line *line, const char *name, long long value) {
    append(line, "%s\"%s\":%lld", comma(line), name, value);
}

void line_text(Line *line, const char *name, const char *value) {
    append(line, "%s\"%s\":\"%s\"", comma(line), name, value);
}

void line_address(Line *line, const char *name, const void *value) {
    line_number(line, name, (long long)(uintptr_t)value);
}

void line_open(Line *line, const char *name) {
    append(line, "%s\"%s\":{", comma(line), name);
}

void line_close(Line *line) {
    append(line, "}");
}

void line_violation(Line *line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->violation, sizeof line->violation, format, arguments);
    va_end(arguments);
}

static int dropped(const Line *line) {
    if (__atomic_load_n(&written, __ATOMIC_RELAXED) < LOG_BYTES || line->violation[0]) {
        return 0;
    }
    for (size_t i = 0; i < sizeof of_frames / sizeof *of_frames; i++) {
        if (strcmp(line->call, of_frames[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

int line_end(Line *line, long session, int result) {
    if (file < 0 || dropped(line)) {
        return result;
    }
    char text[LINE_BYTES + 1024];
    int length = snprintf(text, sizeof text, "{\"call\":\"%s\",\"pid\":%d,\"thread\":%ld,\"session\":%ld,\"result\":%d",
                          line->call, (int)getpid(), (long)syscall(SYS_gettid), session, result);
    length += snprintf(text + length, sizeof text - (size_t)length, ",\"live\":[%zu", ledger_bytes());
    for (int kind = 0; kind < KINDS; kind++) {
        length += snprintf(text + length, sizeof text - (size_t)length, ",%zu", ledger_count((Kind)kind));
    }
    if (line->violation[0]) {
        length += snprintf(text + length, sizeof text - (size_t)length, "],\"violation\":\"%s\"", line->violation);
    } else {
        length += snprintf(text + length, sizeof text - (size_t)length, "]");
    }
    length += snprintf(text + length, sizeof text - (size_t)length, ",\"parameters\":{%s}}\n", line->parameters);
    if (write(file, text, (size_t)length) > 0) {
        __atomic_add_fetch(&written, (size_t)length, __ATOMIC_RELAXED);
    }
    return result;
}

/* What a process still holds when it ends in order; a killed process has no such line. */
__attribute__((destructor)) static void say_exit(void) {
    Line line;
    line_begin(&line, "exit");
    if (ledger_count(SESSION) || ledger_count(ALLOCATION) || ledger_count(CONTEXT)) {
        line_violation(&line, "the process ended with %zu sessions, %zu allocations of %zu bytes and %zu contexts",
                       ledger_count(SESSION), ledger_count(ALLOCATION), ledger_bytes(), ledger_count(CONTEXT));
    }
    line_end(&line, 0, 0);
}
