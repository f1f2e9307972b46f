/* Has a program that is started ahead wait, once it is loaded, for the rest of its command line.
 *
 * Loaded before a dynamically linked program (LD_PRELOAD, ld.so(8)), it stands in for __libc_start_main, by which each
 * begins: libraries are bound and constructors have run when `main` is due. In its place a line end is written to
 * standard output, which tells that it waits, and a message is read from standard input, which stays open: its length
 * (32 bits, as the machine has them), then so many bytes of words, a zero behind each. They follow those that the
 * program was started with. Without a whole message it ends with FAILED.
 *
 * Built without a library of its own, by `make late-words`: what it calls is the program's.
 */

#include <stdint.h>

enum { MAX_BYTES = 1 << 16, FAILED = 1, NAME_BYTES = 16, PR_SET_NAME = 15, PR_GET_NAME = 16 };

typedef int Main(int, char **, char **);
typedef int Start(Main *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

void *dlsym(void *, const char *);
void *calloc(unsigned long, unsigned long);
long read(int, void *, unsigned long);
long write(int, const void *, unsigned long);
int unsetenv(const char *);
int prctl(int, unsigned long, ...);
void _exit(int) __attribute__((noreturn));

/* The SHA-256 of this file. */
const char late_words_source[] = SOURCE_SHA256;

/* The name of the process meanwhile, as ps(1) shows it. */
static const char WAITING[] = "encode-spare";
static void *const NEXT = (void *)-1; /* RTLD_NEXT */
static Main *program;
static char text[MAX_BYTES];

static void read_whole(void *into, uint32_t size) {
    for (uint32_t have = 0; have < size;) {
        long got = read(0, (char *)into + have, size - have);
        if (got <= 0) _exit(FAILED);
        have += (uint32_t)got;
    }
}

static int run_later(int count, char **words, char **environment) {
    uint32_t size, more = 0;
    char name[NAME_BYTES];
    prctl(PR_GET_NAME, (unsigned long)name, 0UL, 0UL, 0UL);
    prctl(PR_SET_NAME, (unsigned long)WAITING, 0UL, 0UL, 0UL);
    if (write(1, "\n", 1) != 1) _exit(FAILED);
    read_whole(&size, sizeof size);
    if (!size || size > sizeof text) _exit(FAILED);
    read_whole(text, size);
    if (text[size - 1]) _exit(FAILED);
    for (uint32_t place = 0; place < size; place++) more += !text[place];
    char **all = calloc((unsigned long)count + more + 1, sizeof *all);
    if (!all) _exit(FAILED);
    for (int place = 0; place < count; place++) all[place] = words[place];
    for (uint32_t place = 0, begins = 1; place < size; place++) {
        if (begins) all[count++] = text + place;
        begins = !text[place];
    }
    prctl(PR_SET_NAME, (unsigned long)name, 0UL, 0UL, 0UL);
    unsetenv("LD_PRELOAD");
    return program(count, all, environment);
}

int __libc_start_main(Main *main, int count, char **words, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack) {
    Start *start = (Start *)dlsym(NEXT, "__libc_start_main");
    if (!start) _exit(FAILED);
    program = main;
    return start(run_later, count, words, init, fini, rtld_fini, stack);
}
