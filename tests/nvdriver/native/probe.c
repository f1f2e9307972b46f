/* A caller that breaks one rule of the driver, named on its command line, and says which status it got.
 *
 * It is compiled against API 11.1 of libffmpeg-nvenc-dev, so it also stands for callers of that API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/nvEncodeAPI.h>

tcuInit cuInit;
tcuCtxCreate_v2 cuCtxCreate_v2;
tcuCtxDestroy_v2 cuCtxDestroy_v2;
tcuCtxPopCurrent_v2 cuCtxPopCurrent_v2;
tcuMemAlloc_v2 cuMemAlloc_v2;
tcuMemAllocPitch_v2 cuMemAllocPitch_v2;
tcuMemFree_v2 cuMemFree_v2;
tcuMemcpyHtoD_v2 cuMemcpyHtoD_v2;
tcuMemcpy2D_v2 cuMemcpy2D_v2;

enum { WIDTH = 320, HEIGHT = 240, BUFFERS = 2 };

static NV_ENCODE_API_FUNCTION_LIST api = {.version = NV_ENCODE_API_FUNCTION_LIST_VER};
static CUcontext context;
static void *encoder;
static NV_ENC_CONFIG config = {.version = NV_ENC_CONFIG_VER};
static NV_ENC_INITIALIZE_PARAMS parameters = {.version = NV_ENC_INITIALIZE_PARAMS_VER};
static CUdeviceptr memory;
static size_t pitch;
static void *registered;
static void *mapped;
static void *buffers[BUFFERS];

static void need(int status, const char *what) {
    if (status != 0) {
        printf("%s gave %d\n", what, status);
        exit(2);
    }
}

static int open_with(uint32_t version, uint32_t api_version) {
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS p = {.version = version};
    p.deviceType = NV_ENC_DEVICE_TYPE_CUDA;
    p.device = context;
    p.apiVersion = api_version;
    return (int)api.nvEncOpenEncodeSessionEx(&p, &encoder);
}

static void have_context(void) {
    need((int)cuInit(0), "cuInit");
    need((int)cuCtxCreate_v2(&context, 0, 0), "cuCtxCreate");
    need((int)NvEncodeAPICreateInstance(&api), "NvEncodeAPICreateInstance");
}

static void have_session(void) {
    have_context();
    need(open_with(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, NVENCAPI_VERSION), "nvEncOpenEncodeSessionEx");
    config.gopLength = 30;
    config.frameIntervalP = 1;
    parameters.encodeGUID = NV_ENC_CODEC_H264_GUID;
    parameters.presetGUID = NV_ENC_PRESET_P4_GUID;
    parameters.tuningInfo = NV_ENC_TUNING_INFO_HIGH_QUALITY;
    parameters.encodeWidth = WIDTH;
    parameters.encodeHeight = HEIGHT;
    parameters.enablePTD = 1;
    parameters.encodeConfig = &config;
}

static int initialize(void) {
    return (int)api.nvEncInitializeEncoder(encoder, &parameters);
}

static int registering(uint32_t width, uint32_t height, size_t rows) {
    NV_ENC_REGISTER_RESOURCE p = {.version = NV_ENC_REGISTER_RESOURCE_VER};
    p.resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
    p.resourceToRegister = (void *)(uintptr_t)memory;
    p.width = width;
    p.height = height;
    p.pitch = (uint32_t)rows;
    p.bufferFormat = NV_ENC_BUFFER_FORMAT_NV12;
    int status = (int)api.nvEncRegisterResource(encoder, &p);
    registered = p.registeredResource;
    return status;
}

static int map(void) {
    NV_ENC_MAP_INPUT_RESOURCE p = {.version = NV_ENC_MAP_INPUT_RESOURCE_VER};
    p.registeredResource = registered;
    int status = (int)api.nvEncMapInputResource(encoder, &p);
    mapped = status == 0 ? p.mappedResource : mapped;
    return status;
}

static int unmap(void) {
    return (int)api.nvEncUnmapInputResource(encoder, mapped);
}

static void have_buffers(void) {
    have_session();
    need(initialize(), "nvEncInitializeEncoder");
    for (int i = 0; i < BUFFERS; i++) {
        NV_ENC_CREATE_BITSTREAM_BUFFER p = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
        need((int)api.nvEncCreateBitstreamBuffer(encoder, &p), "nvEncCreateBitstreamBuffer");
        buffers[i] = p.bitstreamBuffer;
    }
    need((int)cuMemAllocPitch_v2(&memory, &pitch, WIDTH, HEIGHT * 3 / 2, 16), "cuMemAllocPitch");
}

static void have_all(void) {
    have_buffers();
    need(registering(WIDTH, HEIGHT, pitch), "nvEncRegisterResource");
    need(map(), "nvEncMapInputResource");
}

static NV_ENC_PIC_PARAMS picture(void) {
    NV_ENC_PIC_PARAMS p = {.version = NV_ENC_PIC_PARAMS_VER};
    p.inputWidth = WIDTH;
    p.inputHeight = HEIGHT;
    p.inputPitch = (uint32_t)pitch;
    p.inputBuffer = mapped;
    p.outputBitstream = buffers[0];
    p.bufferFmt = NV_ENC_BUFFER_FORMAT_NV12;
    p.pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
    return p;
}

static int encode(NV_ENC_PIC_PARAMS p) {
    return (int)api.nvEncEncodePicture(encoder, &p);
}

static int lock_buffer(int which) {
    NV_ENC_LOCK_BITSTREAM p = {.version = NV_ENC_LOCK_BITSTREAM_VER};
    p.outputBitstream = buffers[which];
    return (int)api.nvEncLockBitstream(encoder, &p);
}

static int unlock_buffer(int which) {
    return (int)api.nvEncUnlockBitstream(encoder, buffers[which]);
}

static int nothing_wrong(void) {
    have_all();
    for (int i = 0; i < 10; i++) {
        need(encode(picture()), "nvEncEncodePicture");
        need(lock_buffer(0), "nvEncLockBitstream");
        need(unlock_buffer(0), "nvEncUnlockBitstream");
    }
    need(unmap(), "nvEncUnmapInputResource");
    need((int)api.nvEncUnregisterResource(encoder, registered), "nvEncUnregisterResource");
    need((int)cuMemFree_v2(memory), "cuMemFree");
    for (int i = 0; i < BUFFERS; i++) {
        need((int)api.nvEncDestroyBitstreamBuffer(encoder, buffers[i]), "nvEncDestroyBitstreamBuffer");
    }
    need((int)api.nvEncDestroyEncoder(encoder), "nvEncDestroyEncoder");
    return (int)cuCtxDestroy_v2(context);
}

static int before_init(void) {
    return (int)cuMemAlloc_v2(&memory, 100);
}

static int no_context(void) {
    have_context();
    cuCtxPopCurrent_v2(NULL);
    return (int)cuMemAlloc_v2(&memory, 100);
}

static int free_twice(void) {
    have_context();
    need((int)cuMemAlloc_v2(&memory, 100), "cuMemAlloc");
    need((int)cuMemFree_v2(memory), "cuMemFree");
    return (int)cuMemFree_v2(memory);
}

static int copy_beyond(void) {
    char host[200] = "";
    have_context();
    need((int)cuMemAlloc_v2(&memory, 100), "cuMemAlloc");
    return (int)cuMemcpyHtoD_v2(memory, host, 101);
}

static int copy_rows_beyond(void) {
    static char host[WIDTH * HEIGHT];
    have_context();
    need((int)cuMemAlloc_v2(&memory, WIDTH * HEIGHT), "cuMemAlloc");
    CUDA_MEMCPY2D p = {0};
    p.srcMemoryType = CU_MEMORYTYPE_HOST;
    p.srcHost = host;
    p.srcPitch = WIDTH;
    p.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    p.dstDevice = memory;
    p.dstPitch = WIDTH + 1;
    p.WidthInBytes = WIDTH;
    p.Height = HEIGHT;
    return (int)cuMemcpy2D_v2(&p);
}

static int struct_version(void) {
    have_context();
    return open_with(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER + (1 << 16), NVENCAPI_VERSION);
}

static int newer_api(void) {
    have_context();
    return open_with(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, 14);
}

static int picture_version(void) {
    have_all();
    NV_ENC_PIC_PARAMS p = picture();
    p.version = NV_ENC_PIC_PARAMS_VER & ~(1u << 31);
    return encode(p);
}

static int encode_before_initialize(void) {
    have_session();
    return encode(picture());
}

static int initialize_twice(void) {
    have_session();
    need(initialize(), "nvEncInitializeEncoder");
    return initialize();
}

static int too_many_b_frames(void) {
    have_session();
    config.frameIntervalP = 6;
    return initialize();
}

static int too_much_lookahead(void) {
    have_session();
    config.frameIntervalP = 3;
    config.rcParams.enableLookahead = 1;
    config.rcParams.lookaheadDepth = 30;
    return initialize();
}

static int too_small(void) {
    have_session();
    parameters.encodeWidth = 64;
    parameters.encodeHeight = 64;
    return initialize();
}

static int no_device_memory(void) {
    have_buffers();
    static char host[1 << 20];
    memory = (CUdeviceptr)(uintptr_t)host;
    return registering(WIDTH, HEIGHT, pitch);
}

static int memory_too_short(void) {
    have_buffers();
    return registering(WIDTH, HEIGHT + 2, pitch);
}

static int pitch_too_small(void) {
    have_buffers();
    return registering(WIDTH, HEIGHT, WIDTH - 1);
}

static int map_twice(void) {
    have_all();
    return map();
}

static int unmap_twice(void) {
    have_all();
    need(unmap(), "nvEncUnmapInputResource");
    return unmap();
}

static int encode_unmapped(void) {
    have_all();
    need(unmap(), "nvEncUnmapInputResource");
    return encode(picture());
}

static int encode_freed(void) {
    have_all();
    need((int)cuMemFree_v2(memory), "cuMemFree");
    return encode(picture());
}

static int encode_other_pitch(void) {
    have_all();
    NV_ENC_PIC_PARAMS p = picture();
    p.inputPitch = (uint32_t)pitch * 2;
    return encode(p);
}

static int encode_other_size(void) {
    have_all();
    NV_ENC_PIC_PARAMS p = picture();
    p.inputHeight = HEIGHT - 2;
    return encode(p);
}

static int encode_other_format(void) {
    have_all();
    NV_ENC_PIC_PARAMS p = picture();
    p.bufferFmt = NV_ENC_BUFFER_FORMAT_IYUV;
    return encode(p);
}

static int encode_into_full_buffer(void) {
    have_all();
    need(encode(picture()), "nvEncEncodePicture");
    return encode(picture());
}

static int lock_before_encode(void) {
    have_all();
    return lock_buffer(0);
}

static int lock_twice(void) {
    have_all();
    need(encode(picture()), "nvEncEncodePicture");
    need(lock_buffer(0), "nvEncLockBitstream");
    return lock_buffer(0);
}

static int unlock_unlocked(void) {
    have_all();
    return unlock_buffer(1);
}

static int unregister_mapped(void) {
    have_all();
    return (int)api.nvEncUnregisterResource(encoder, registered);
}

static int destroy_full(void) {
    have_all();
    return (int)api.nvEncDestroyEncoder(encoder);
}

static int use_after_destroy(void) {
    have_session();
    need((int)api.nvEncDestroyEncoder(encoder), "nvEncDestroyEncoder");
    return initialize();
}

static int dead_context(void) {
    have_context();
    need((int)cuCtxDestroy_v2(context), "cuCtxDestroy");
    return open_with(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, NVENCAPI_VERSION);
}

static int leak(void) {
    have_all();
    return 0;
}

typedef struct {
    const char *name;
    int (*run)(void);
} Case;

#define CASE(name) {#name, name}
static const Case cases[] = {
    CASE(nothing_wrong),     CASE(before_init),         CASE(no_context),          CASE(free_twice),
    CASE(copy_beyond),       CASE(copy_rows_beyond),    CASE(struct_version),      CASE(newer_api),
    CASE(picture_version),   CASE(encode_before_initialize), CASE(initialize_twice), CASE(too_many_b_frames),
    CASE(too_much_lookahead), CASE(too_small),          CASE(no_device_memory),    CASE(memory_too_short),
    CASE(pitch_too_small),   CASE(map_twice),           CASE(unmap_twice),         CASE(encode_unmapped),
    CASE(encode_freed),      CASE(encode_other_pitch),  CASE(encode_other_size),   CASE(encode_other_format),
    CASE(encode_into_full_buffer), CASE(lock_before_encode), CASE(lock_twice),     CASE(unlock_unlocked),
    CASE(unregister_mapped), CASE(destroy_full),        CASE(use_after_destroy),   CASE(dead_context),
    CASE(leak),
};

int main(int count, char **words) {
    for (size_t i = 0; count > 1 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].name, words[1]) == 0) {
            printf("%d\n", cases[i].run());
            return 0;
        }
    }
    return 1;
}
