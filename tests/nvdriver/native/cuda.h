/* What the parts of libcuda share. Codes are those of the CUDA driver API's documentation. */
#ifndef NVDRIVER_CUDA_H
#define NVDRIVER_CUDA_H

#include <ffnvcodec/dynlink_cuda.h>

#include "control.h"
#include "ledger.h"
#include "log.h"

enum {
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    OPERATING_SYSTEM = 304,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_SUPPORTED = 801,
    /* A card that fell off the bus: every call fails alike from then on (observed reports name 999 most often). */
    DEVICE_LOST = CUDA_ERROR_UNKNOWN
};

/* What every call but cuInit asks first: CUDA_SUCCESS, or why nothing works. */
int cuda_ready(Line *line);

/* What CUDA takes of the system at its start: CUDA_SUCCESS, or why it does not start. */
int machine_found(Line *line);

/* How much memory the card has. */
long cuda_memory_bytes(void);

/* The context current on this thread; NULL for none. */
CUcontext context_current(void);

/* Ends a line that belongs to no session. */
CUresult cuda_end(Line *line, int result);

#endif
