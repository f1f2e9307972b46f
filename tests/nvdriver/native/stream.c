/* Streams and events. Everything is done when its call returns, so waiting is only a check of the handle. */
#include "cuda.h"

tcuStreamCreate cuStreamCreate;
tcuStreamDestroy_v2 cuStreamDestroy_v2;
tcuStreamSynchronize cuStreamSynchronize;
tcuStreamQuery cuStreamQuery;
tcuEventCreate cuEventCreate;
tcuEventDestroy_v2 cuEventDestroy_v2;
tcuEventSynchronize cuEventSynchronize;
tcuEventQuery cuEventQuery;
tcuEventRecord cuEventRecord;
CUresult cuStreamGetCtx(CUstream stream, CUcontext *context);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);

/* The two streams that exist without being made: legacy (0 or 1) and per thread (2). */
static int built_in(const void *stream) {
    return (uintptr_t)stream <= 2;
}

static int check(Line *line, Kind kind, const void *handle) {
    int ready = cuda_ready(line);
    if (ready == CUDA_SUCCESS && !(kind == STREAM && built_in(handle)) && !ledger_find(kind, handle)) {
        line_violation(line, "no such handle among the %s", kind_names[kind]);
        return INVALID_HANDLE;
    }
    return ready;
}

static int make(Line *line, Kind kind, void **handle, unsigned int flags) {
    line_number(line, "flags", flags);
    int ready = cuda_ready(line);
    if (ready == CUDA_SUCCESS && context_current() == NULL) {
        line_violation(line, "made with no context current");
        return INVALID_CONTEXT;
    }
    if (ready == CUDA_SUCCESS) {
        *handle = ledger_handle();
        ledger_add(kind, *handle, context_current(), 0, context_current());
        line_address(line, "handle", *handle);
    }
    return ready;
}

static int drop(Line *line, Kind kind, const void *handle) {
    int result = check(line, kind, handle);
    ledger_remove(kind, handle);
    return result;
}

CUresult cuStreamCreate(CUstream *stream, unsigned int flags) {
    Line line;
    line_begin(&line, "cuStreamCreate");
    return cuda_end(&line, make(&line, STREAM, (void **)stream, flags));
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    Line line;
    line_begin(&line, "cuStreamDestroy_v2");
    return cuda_end(&line, drop(&line, STREAM, stream));
}

CUresult cuStreamSynchronize(CUstream stream) {
    Line line;
    line_begin(&line, "cuStreamSynchronize");
    return cuda_end(&line, check(&line, STREAM, stream));
}

CUresult cuStreamQuery(CUstream stream) {
    Line line;
    line_begin(&line, "cuStreamQuery");
    return cuda_end(&line, check(&line, STREAM, stream));
}

CUresult cuStreamGetCtx(CUstream stream, CUcontext *context) {
    Line line;
    line_begin(&line, "cuStreamGetCtx");
    int result = check(&line, STREAM, stream);
    *context = built_in(stream) ? context_current() : ledger_find(STREAM, stream);
    return cuda_end(&line, result);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags) {
    Line line;
    line_begin(&line, "cuStreamWaitEvent");
    line_number(&line, "flags", flags);
    int result = check(&line, STREAM, stream);
    return cuda_end(&line, result != CUDA_SUCCESS ? result : check(&line, EVENT, event));
}

CUresult cuEventCreate(CUevent *event, unsigned int flags) {
    Line line;
    line_begin(&line, "cuEventCreate");
    return cuda_end(&line, make(&line, EVENT, (void **)event, flags));
}

CUresult cuEventDestroy_v2(CUevent event) {
    Line line;
    line_begin(&line, "cuEventDestroy_v2");
    return cuda_end(&line, drop(&line, EVENT, event));
}

CUresult cuEventSynchronize(CUevent event) {
    Line line;
    line_begin(&line, "cuEventSynchronize");
    return cuda_end(&line, check(&line, EVENT, event));
}

CUresult cuEventQuery(CUevent event) {
    Line line;
    line_begin(&line, "cuEventQuery");
    return cuda_end(&line, check(&line, EVENT, event));
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    Line line;
    line_begin(&line, "cuEventRecord");
    int result = check(&line, EVENT, event);
    return cuda_end(&line, result != CUDA_SUCCESS ? result : check(&line, STREAM, stream));
}
