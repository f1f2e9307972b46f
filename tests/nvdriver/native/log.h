/* The record of every call: one line of JSON each, written at once and whole (O_APPEND), from all threads and
 * processes that share the file named by CUDA_STAND_IN_LOG. */
#ifndef NVDRIVER_LOG_H
#define NVDRIVER_LOG_H

#include <stddef.h>

enum { LINE_BYTES = 8192 };

typedef struct {
    const char *call;
    size_t used;
    char parameters[LINE_BYTES];
    char violation[256];
} Line;

void line_begin(Line *line, const char *call);
void line_number(Line *line, const char *name, long long value);
void line_text(Line *line, const char *name, const char *value);
void line_address(Line *line, const char *name, const void *value);

/* Parameters between the two are nested under that name. */
void line_open(Line *line, const char *name);
void line_close(Line *line);

/* Says which rule of the driver the caller broke. The call is refused or not by its result, not by this. */
void line_violation(Line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes the line and gives `result` back, to be returned. */
int line_end(Line *line, long session, int result);

#endif
