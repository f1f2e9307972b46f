/* Contexts: created, primary, and the stack of each thread. */
#include "cuda.h"

#include <pthread.h>

tcuCtxCreate_v2 cuCtxCreate_v2;
tcuCtxDestroy_v2 cuCtxDestroy_v2;
tcuCtxPushCurrent_v2 cuCtxPushCurrent_v2;
tcuCtxPopCurrent_v2 cuCtxPopCurrent_v2;
tcuCtxGetDevice cuCtxGetDevice;
tcuCtxSetLimit cuCtxSetLimit;
tcuDevicePrimaryCtxRetain cuDevicePrimaryCtxRetain;
tcuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease;
tcuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease_v2;
tcuDevicePrimaryCtxSetFlags cuDevicePrimaryCtxSetFlags;
tcuDevicePrimaryCtxGetState cuDevicePrimaryCtxGetState;
CUresult cuCtxGetCurrent(CUcontext *context);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuCtxSynchronize(void);

enum { DEPTH = 64 };

static __thread CUcontext stack[DEPTH];
static __thread int depth;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext primary;
static int retained;
static int context_object; /* contexts carry nothing; the ledger wants an object that is not NULL */

CUcontext context_current(void) {
    return depth ? stack[depth - 1] : NULL;
}

static CUcontext make(void) {
    CUcontext context = ledger_handle();
    ledger_add(CONTEXT, context, &context_object, 0, NULL);
    return context;
}

static int known(Line *line, CUcontext context) {
    int ready = cuda_ready(line);
    if (ready == CUDA_SUCCESS && !ledger_find(CONTEXT, context)) {
        line_violation(line, "no such context, or it was destroyed");
        return INVALID_CONTEXT;
    }
    return ready;
}

/* Also makes the context current, as documented. */
CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device) {
    Line line;
    line_begin(&line, "cuCtxCreate_v2");
    line_number(&line, "flags", flags);
    line_number(&line, "device", device);
    int ready = cuda_ready(&line);
    if (ready == CUDA_SUCCESS && depth < DEPTH) {
        *context = stack[depth++] = make();
        line_address(&line, "context", *context);
    }
    return cuda_end(&line, ready);
}

static void let_go(Line *line, CUcontext context) {
    if (ledger_owned(ALLOCATION, context) || ledger_owned(SESSION, context)) {
        line_violation(line, "a context was destroyed with %zu sessions and %zu allocations in it",
                       ledger_owned(SESSION, context), ledger_owned(ALLOCATION, context));
    }
    ledger_remove(CONTEXT, context);
    if (context_current() == context) {
        depth--;
    }
}

CUresult cuCtxDestroy_v2(CUcontext context) {
    Line line;
    line_begin(&line, "cuCtxDestroy_v2");
    line_address(&line, "context", context);
    int result = known(&line, context);
    if (ledger_find(CONTEXT, context)) {
        let_go(&line, context);
    }
    return cuda_end(&line, result);
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    Line line;
    line_begin(&line, "cuCtxPushCurrent_v2");
    line_address(&line, "context", context);
    int result = known(&line, context);
    if (result == CUDA_SUCCESS && depth == DEPTH) {
        line_violation(&line, "contexts are pushed and never popped");
        result = INVALID_VALUE;
    }
    if (result == CUDA_SUCCESS) {
        stack[depth++] = context;
    }
    return cuda_end(&line, result);
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    Line line;
    line_begin(&line, "cuCtxPopCurrent_v2");
    int result = cuda_ready(&line);
    if (result == CUDA_SUCCESS && depth == 0) {
        line_violation(&line, "popped with no context current");
        result = INVALID_CONTEXT;
    }
    CUcontext popped = depth ? stack[--depth] : NULL;
    if (context) {
        *context = popped;
    }
    return cuda_end(&line, result);
}

CUresult cuCtxGetCurrent(CUcontext *context) {
    Line line;
    line_begin(&line, "cuCtxGetCurrent");
    *context = context_current();
    return cuda_end(&line, cuda_ready(&line));
}

CUresult cuCtxSetCurrent(CUcontext context) {
    Line line;
    line_begin(&line, "cuCtxSetCurrent");
    int result = context ? known(&line, context) : cuda_ready(&line);
    if (result == CUDA_SUCCESS) {
        depth = context ? (depth ? depth : 1) : 0;
        if (context) {
            stack[depth - 1] = context;
        }
    }
    return cuda_end(&line, result);
}

CUresult cuCtxGetDevice(CUdevice *device) {
    Line line;
    line_begin(&line, "cuCtxGetDevice");
    *device = 0;
    int ready = cuda_ready(&line);
    return cuda_end(&line, ready != CUDA_SUCCESS || context_current() ? ready : INVALID_CONTEXT);
}

CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
    Line line;
    line_begin(&line, "cuCtxSetLimit");
    line_number(&line, "limit", limit);
    line_number(&line, "value", (long long)value);
    return cuda_end(&line, cuda_ready(&line));
}

CUresult cuCtxSynchronize(void) {
    Line line;
    line_begin(&line, "cuCtxSynchronize");
    return cuda_end(&line, cuda_ready(&line));
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    Line line;
    line_begin(&line, "cuDevicePrimaryCtxRetain");
    line_number(&line, "device", device);
    int ready = cuda_ready(&line);
    if (ready == CUDA_SUCCESS) {
        pthread_mutex_lock(&lock);
        if (retained++ == 0) {
            primary = make();
        }
        *context = primary;
        pthread_mutex_unlock(&lock);
        line_address(&line, "context", *context);
    }
    return cuda_end(&line, ready);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    Line line;
    line_begin(&line, "cuDevicePrimaryCtxRelease_v2");
    line_number(&line, "device", device);
    int result = cuda_ready(&line);
    pthread_mutex_lock(&lock);
    if (retained == 0) {
        line_violation(&line, "the primary context was released more often than retained");
        result = INVALID_CONTEXT;
    } else if (--retained == 0) {
        let_go(&line, primary);
    }
    pthread_mutex_unlock(&lock);
    return cuda_end(&line, result);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    return cuDevicePrimaryCtxRelease_v2(device);
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags) {
    Line line;
    line_begin(&line, "cuDevicePrimaryCtxSetFlags");
    line_number(&line, "device", device);
    line_number(&line, "flags", flags);
    return cuda_end(&line, cuda_ready(&line));
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active) {
    Line line;
    line_begin(&line, "cuDevicePrimaryCtxGetState");
    line_number(&line, "device", device);
    *flags = 0;
    *active = retained > 0;
    return cuda_end(&line, cuda_ready(&line));
}
