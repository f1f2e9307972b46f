/* cuInit, devices and the texts of errors. */
#include "cuda.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tcuInit cuInit;
tcuDeviceGetCount cuDeviceGetCount;
tcuDeviceGet cuDeviceGet;
tcuDeviceGetName cuDeviceGetName;
tcuDeviceGetAttribute cuDeviceGetAttribute;
tcuDeviceComputeCapability cuDeviceComputeCapability;
tcuDeviceGetUuid cuDeviceGetUuid;
tcuDeviceGetUuid cuDeviceGetUuid_v2;
tcuGetErrorName cuGetErrorName;
tcuGetErrorString cuGetErrorString;
CUresult cuDriverGetVersion(int *version);
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device);
CUresult cuDeviceGetPCIBusId(char *id, int bytes, CUdevice device);

static int initialized;

/* Those that CUDA_VISIBLE_DEVICES names count, up to the first that there is not; all without it. */
static long devices(void) {
    long all = control_number("devices", 1);
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible == NULL) {
        return all;
    }
    long count = 0;
    for (char *end; *visible; visible = *end == ',' ? end + 1 : end, count++) {
        long device = strtol(visible, &end, 10);
        if (end == visible || device < 0 || device >= all) {
            break;
        }
    }
    return count;
}

long cuda_memory_bytes(void) {
    return control_number("memory_bytes", 8L << 30);
}

int cuda_ready(Line *line) {
    if (!__atomic_load_n(&initialized, __ATOMIC_ACQUIRE)) {
        line_violation(line, "called before cuInit");
        return NOT_INITIALIZED;
    }
    return control_number("device_lost", 0) ? (int)DEVICE_LOST : (int)CUDA_SUCCESS;
}

CUresult cuda_end(Line *line, int result) {
    return (CUresult)line_end(line, 0, result);
}

static int valid(Line *line, CUdevice device) {
    int ready = cuda_ready(line);
    if (ready == CUDA_SUCCESS && (device < 0 || device >= devices())) {
        line_violation(line, "there is no device %d", device);
        return INVALID_DEVICE;
    }
    return ready;
}

/* Once for a process, however many threads call at once: its socket has one name. */
static int initialize(Line *line) {
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&once);
    int found = initialized ? (int)CUDA_SUCCESS : machine_found(line);
    if (found == CUDA_SUCCESS) {
        __atomic_store_n(&initialized, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&once);
    return found;
}

CUresult cuInit(unsigned int flags) {
    Line line;
    line_begin(&line, "cuInit");
    line_number(&line, "flags", flags);
    if (flags != 0) {
        line_violation(&line, "flags of cuInit must be 0");
        return cuda_end(&line, INVALID_VALUE);
    }
    if (devices() == 0 && !control_number("counts_none", 0)) {
        return cuda_end(&line, NO_DEVICE);
    }
    if (control_number("device_lost", 0)) {
        return cuda_end(&line, DEVICE_LOST);
    }
    return cuda_end(&line, initialize(&line));
}

/* Works before cuInit, as the real one. 1000 * major + 10 * minor of CUDA. */
CUresult cuDriverGetVersion(int *version) {
    Line line;
    line_begin(&line, "cuDriverGetVersion");
    *version = (int)control_number("driver_version", 13000);
    line_number(&line, "version", *version);
    return cuda_end(&line, CUDA_SUCCESS);
}

CUresult cuDeviceGetCount(int *count) {
    Line line;
    line_begin(&line, "cuDeviceGetCount");
    int ready = cuda_ready(&line);
    *count = ready == CUDA_SUCCESS ? (int)devices() : 0;
    line_number(&line, "count", *count);
    return cuda_end(&line, ready);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    Line line;
    line_begin(&line, "cuDeviceGet");
    line_number(&line, "ordinal", ordinal);
    *device = ordinal;
    return cuda_end(&line, valid(&line, ordinal));
}

CUresult cuDeviceGetName(char *name, int bytes, CUdevice device) {
    Line line;
    line_begin(&line, "cuDeviceGetName");
    int result = valid(&line, device);
    if (result == CUDA_SUCCESS) {
        control_text("device_name", "API-GPU stand-in (no GPU)", name, (unsigned long)bytes);
        line_text(&line, "name", name);
    }
    return cuda_end(&line, result);
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
    Line line;
    line_begin(&line, "cuDeviceComputeCapability");
    *major = 8;
    *minor = 9;
    return cuda_end(&line, valid(&line, device));
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    Line line;
    line_begin(&line, "cuDeviceGetAttribute");
    line_number(&line, "attribute", attribute);
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? 8
             : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? 9
             : attribute == CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING       ? 1
             : attribute == CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT        ? 512
                                                                         : 0;
    return cuda_end(&line, valid(&line, device));
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
    Line line;
    line_begin(&line, "cuDeviceGetUuid");
    memset(uuid, 0, sizeof *uuid);
    return cuda_end(&line, valid(&line, device));
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    return cuDeviceGetUuid(uuid, device);
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    Line line;
    line_begin(&line, "cuDeviceTotalMem_v2");
    *bytes = (size_t)cuda_memory_bytes();
    return cuda_end(&line, valid(&line, device));
}

CUresult cuDeviceGetPCIBusId(char *id, int bytes, CUdevice device) {
    Line line;
    line_begin(&line, "cuDeviceGetPCIBusId");
    snprintf(id, (size_t)bytes, "0000:%02x:00.0", device + 1);
    return cuda_end(&line, valid(&line, device));
}

typedef struct {
    int code;
    const char *name;
    const char *text;
} Error;

static const Error errors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {OPERATING_SYSTEM, "CUDA_ERROR_OPERATING_SYSTEM", "OS call failed or operation not supported on this OS"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {DEVICE_LOST, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static const Error *error_of(int code) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].code == code) {
            return &errors[i];
        }
    }
    return NULL;
}

CUresult cuGetErrorName(CUresult code, const char **name) {
    const Error *error = error_of((int)code);
    *name = error ? error->name : NULL;
    return error ? CUDA_SUCCESS : (CUresult)INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult code, const char **text) {
    const Error *error = error_of((int)code);
    *text = error ? error->text : NULL;
    return error ? CUDA_SUCCESS : (CUresult)INVALID_VALUE;
}
