/* Everything alive in this process: what was made and not yet given back.
 *
 * It lives in libcuda, because callers unload libnvidia-encode between two encoders. Handles are never used twice
 * (addresses of device memory apart), so that a use after destruction is always seen.
 */
#ifndef NVDRIVER_LEDGER_H
#define NVDRIVER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    SESSION,
    ALLOCATION, /* device memory; its handle is its address */
    CONTEXT,
    REGISTERED,
    MAPPED,
    BITSTREAM,
    INPUT, /* nvEncCreateInputBuffer */
    STREAM,
    EVENT,
    KINDS
} Kind;

extern const char *const kind_names[KINDS];

/* A new handle, never given before. */
void *ledger_handle(void);

void ledger_add(Kind kind, void *handle, void *object, size_t bytes, const void *owner);

/* The object behind a handle; NULL when there is none alive of that kind. */
void *ledger_find(Kind kind, const void *handle);

/* Takes an entry out and gives its object; NULL when it was not alive. */
void *ledger_remove(Kind kind, const void *handle);

/* Any handle of that kind which belongs to `owner`; NULL when none is left. */
void *ledger_any(Kind kind, const void *owner);

/* Whether [address, address + bytes) lies in one live allocation of device memory. */
bool ledger_holds(uintptr_t address, size_t bytes);

size_t ledger_count(Kind kind);
size_t ledger_owned(Kind kind, const void *owner);
size_t ledger_bytes(void);

#endif
