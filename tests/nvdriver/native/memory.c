/* Device memory, which here is memory of the host, and copies to and from it. */
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

tcuMemAlloc_v2 cuMemAlloc_v2;
tcuMemAllocPitch_v2 cuMemAllocPitch_v2;
tcuMemFree_v2 cuMemFree_v2;
tcuMemcpyHtoD_v2 cuMemcpyHtoD_v2;
tcuMemcpyDtoH_v2 cuMemcpyDtoH_v2;
tcuMemcpyDtoHAsync_v2 cuMemcpyDtoHAsync_v2;
tcuMemcpyHtoDAsync_v2 cuMemcpyHtoDAsync_v2;
tcuMemcpy2D_v2 cuMemcpy2D_v2;
tcuMemcpy2DAsync_v2 cuMemcpy2DAsync_v2;
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy);
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream);
CUresult cuMemGetInfo_v2(size_t *available, size_t *total);
CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address);

/* Rows of cuMemAllocPitch begin at multiples of this, so that a pitch taken for the width shows as a torn picture. */
enum { PITCH_BYTES = 512, ALIGNMENT_BYTES = 512, GARBAGE = 0xAB };

static int allocate(Line *line, CUdeviceptr *address, size_t bytes) {
    int ready = cuda_ready(line);
    if (ready != CUDA_SUCCESS) {
        return ready;
    }
    if (context_current() == NULL) {
        line_violation(line, "allocated with no context current");
        return INVALID_CONTEXT;
    }
    if (bytes == 0) {
        line_violation(line, "allocated nothing");
        return INVALID_VALUE;
    }
    if (control_number("out_of_memory", 0) || ledger_bytes() + bytes > (size_t)cuda_memory_bytes()) {
        return OUT_OF_MEMORY;
    }
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT_BYTES, bytes) != 0) {
        return OUT_OF_MEMORY;
    }
    memset(memory, GARBAGE, bytes);
    ledger_add(ALLOCATION, memory, memory, bytes, context_current());
    *address = (CUdeviceptr)(uintptr_t)memory;
    line_number(line, "address", (long long)*address);
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    Line line;
    line_begin(&line, "cuMemAlloc_v2");
    line_number(&line, "bytes", (long long)bytes);
    return cuda_end(&line, allocate(&line, address, bytes));
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream) {
    Line line;
    line_begin(&line, "cuMemAllocAsync");
    line_number(&line, "bytes", (long long)bytes);
    line_address(&line, "stream", stream);
    return cuda_end(&line, allocate(&line, address, bytes));
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned int element) {
    Line line;
    line_begin(&line, "cuMemAllocPitch_v2");
    line_number(&line, "width", (long long)width);
    line_number(&line, "height", (long long)height);
    *pitch = (width + PITCH_BYTES - 1) / PITCH_BYTES * PITCH_BYTES;
    line_number(&line, "pitch", (long long)*pitch);
    if (element != 4 && element != 8 && element != 16) {
        line_violation(&line, "elements of %u bytes; only 4, 8 and 16 are documented", element);
        return cuda_end(&line, INVALID_VALUE);
    }
    return cuda_end(&line, allocate(&line, address, *pitch * height));
}

static CUresult give_back(const char *call, CUdeviceptr address) {
    Line line;
    line_begin(&line, call);
    line_number(&line, "address", (long long)address);
    int result = cuda_ready(&line);
    void *memory = ledger_remove(ALLOCATION, (void *)(uintptr_t)address);
    if (memory == NULL) {
        line_violation(&line, "freed memory that is not allocated");
        result = INVALID_VALUE;
    }
    free(memory);
    return cuda_end(&line, result);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    return give_back("cuMemFree_v2", address);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) {
    (void)stream;
    return give_back("cuMemFreeAsync", address);
}

CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
    Line line;
    line_begin(&line, "cuMemGetInfo_v2");
    *total = (size_t)cuda_memory_bytes();
    *available = *total - ledger_bytes();
    return cuda_end(&line, cuda_ready(&line));
}

/* What a caller asks of an address it was handed: 2 is the kind of memory, 1 its context, 9 its device. */
CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address) {
    Line line;
    line_begin(&line, "cuPointerGetAttribute");
    line_number(&line, "attribute", attribute);
    int result = cuda_ready(&line);
    if (result == CUDA_SUCCESS && !ledger_holds((uintptr_t)address, 1)) {
        result = INVALID_VALUE;
    }
    if (result == CUDA_SUCCESS && attribute == 1) {
        *(CUcontext *)value = context_current();
    } else if (result == CUDA_SUCCESS) {
        *(unsigned int *)value = attribute == 2 ? CU_MEMORYTYPE_DEVICE : 0;
    }
    return cuda_end(&line, result);
}

static int copy_row(Line *line, void *to, const void *from, CUdeviceptr device, size_t bytes) {
    int ready = cuda_ready(line);
    line_number(line, "bytes", (long long)bytes);
    if (ready == CUDA_SUCCESS && !ledger_holds((uintptr_t)device, bytes)) {
        line_violation(line, "copied beyond an allocation");
        return INVALID_VALUE;
    }
    if (ready == CUDA_SUCCESS) {
        memcpy(to, from, bytes);
    }
    return ready;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
    Line line;
    line_begin(&line, "cuMemcpyHtoD_v2");
    return cuda_end(&line, copy_row(&line, (void *)(uintptr_t)to, from, to, bytes));
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    (void)stream;
    return cuMemcpyHtoD_v2(to, from, bytes);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
    Line line;
    line_begin(&line, "cuMemcpyDtoH_v2");
    return cuda_end(&line, copy_row(&line, to, (const void *)(uintptr_t)from, from, bytes));
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    (void)stream;
    return cuMemcpyDtoH_v2(to, from, bytes);
}

/* Where one side of a copy begins; NULL when the caller named memory that cannot hold it. */
static char *side(Line *line, CUmemorytype type, const void *host, CUdeviceptr device, size_t pitch, size_t x, size_t y,
                  const CUDA_MEMCPY2D *copy) {
    if (pitch < x + copy->WidthInBytes) {
        line_violation(line, "a pitch of %zu bytes is less than the width of %zu", pitch, copy->WidthInBytes);
        return NULL;
    }
    size_t span = pitch * (copy->Height ? copy->Height - 1 : 0) + copy->WidthInBytes;
    uintptr_t start = (type == CU_MEMORYTYPE_HOST ? (uintptr_t)host : (uintptr_t)device) + pitch * y + x;
    if (type == CU_MEMORYTYPE_DEVICE && !ledger_holds(start, span)) {
        line_violation(line, "copied %zu rows of %zu bytes beyond an allocation", copy->Height, pitch);
        return NULL;
    }
    return type == CU_MEMORYTYPE_ARRAY ? NULL : (char *)start;
}

static CUresult copy_rows(const char *call, const CUDA_MEMCPY2D *copy) {
    Line line;
    line_begin(&line, call);
    line_number(&line, "width", (long long)copy->WidthInBytes);
    line_number(&line, "height", (long long)copy->Height);
    line_number(&line, "from_pitch", (long long)copy->srcPitch);
    line_number(&line, "to_pitch", (long long)copy->dstPitch);
    int ready = cuda_ready(&line);
    if (ready == CUDA_SUCCESS && context_current() == NULL) {
        line_violation(&line, "copied with no context current");
        ready = INVALID_CONTEXT;
    }
    if (ready != CUDA_SUCCESS) {
        return cuda_end(&line, ready);
    }
    const char *from = side(&line, copy->srcMemoryType, copy->srcHost, copy->srcDevice, copy->srcPitch,
                            copy->srcXInBytes, copy->srcY, copy);
    char *to = side(&line, copy->dstMemoryType, copy->dstHost, copy->dstDevice, copy->dstPitch, copy->dstXInBytes,
                    copy->dstY, copy);
    if (from == NULL || to == NULL) {
        return cuda_end(&line, INVALID_VALUE);
    }
    for (size_t row = 0; row < copy->Height; row++) {
        memcpy(to + row * copy->dstPitch, from + row * copy->srcPitch, copy->WidthInBytes);
    }
    return cuda_end(&line, CUDA_SUCCESS);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy) {
    return copy_rows("cuMemcpy2D_v2", copy);
}

CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy) {
    return copy_rows("cuMemcpy2DUnaligned_v2", copy);
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream) {
    (void)stream;
    return copy_rows("cuMemcpy2DAsync_v2", copy);
}
