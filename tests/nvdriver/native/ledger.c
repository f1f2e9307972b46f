#include "ledger.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct Entry {
    struct Entry *next;
    Kind kind;
    void *handle;
    void *object;
    size_t bytes;
    const void *owner;
} Entry;

const char *const kind_names[KINDS] = {"sessions",          "allocations",   "contexts", "registered", "mapped",
                                       "bitstream_buffers", "input_buffers", "streams",  "events"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Entry *alive;
static size_t counts[KINDS];
static size_t device_bytes;
static uintptr_t last_handle = 0x100000;

void *ledger_handle(void) {
    return (void *)__atomic_add_fetch(&last_handle, 0x10, __ATOMIC_RELAXED);
}

void ledger_add(Kind kind, void *handle, void *object, size_t bytes, const void *owner) {
    Entry *entry = malloc(sizeof *entry);
    *entry = (Entry){NULL, kind, handle, object, bytes, owner};
    pthread_mutex_lock(&lock);
    entry->next = alive;
    alive = entry;
    counts[kind]++;
    device_bytes += bytes;
    pthread_mutex_unlock(&lock);
}

void *ledger_find(Kind kind, const void *handle) {
    void *object = NULL;
    pthread_mutex_lock(&lock);
    for (Entry *entry = alive; entry; entry = entry->next) {
        if (entry->kind == kind && entry->handle == handle) {
            object = entry->object;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return object;
}

void *ledger_remove(Kind kind, const void *handle) {
    void *object = NULL;
    pthread_mutex_lock(&lock);
    for (Entry **at = &alive; *at; at = &(*at)->next) {
        Entry *entry = *at;
        if (entry->kind == kind && entry->handle == handle) {
            object = entry->object;
            *at = entry->next;
            counts[kind]--;
            device_bytes -= entry->bytes;
            free(entry);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return object;
}

void *ledger_any(Kind kind, const void *owner) {
    void *handle = NULL;
    pthread_mutex_lock(&lock);
    for (Entry *entry = alive; entry && !handle; entry = entry->next) {
        if (entry->kind == kind && entry->owner == owner) {
            handle = entry->handle;
        }
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

bool ledger_holds(uintptr_t address, size_t bytes) {
    bool held = false;
    pthread_mutex_lock(&lock);
    for (Entry *entry = alive; entry && !held; entry = entry->next) {
        uintptr_t start = (uintptr_t)entry->handle;
        held = entry->kind == ALLOCATION && address >= start && address - start <= entry->bytes &&
               bytes <= entry->bytes - (address - start);
    }
    pthread_mutex_unlock(&lock);
    return held;
}

size_t ledger_count(Kind kind) {
    return __atomic_load_n(&counts[kind], __ATOMIC_RELAXED);
}

size_t ledger_owned(Kind kind, const void *owner) {
    size_t owned = 0;
    pthread_mutex_lock(&lock);
    for (Entry *entry = alive; entry; entry = entry->next) {
        owned += entry->kind == kind && entry->owner == owner;
    }
    pthread_mutex_unlock(&lock);
    return owned;
}

size_t ledger_bytes(void) {
    return __atomic_load_n(&device_bytes, __ATOMIC_RELAXED);
}
