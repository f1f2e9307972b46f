/* The two functions that libnvidia-encode exports, and the table of all others. */
#include "session.h"

NVENCSTATUS NvEncodeAPIGetMaxSupportedVersion(uint32_t *version);

NVENCSTATUS NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) {
    Line line;
    line_begin(&line, "NvEncodeAPIGetMaxSupportedVersion");
    *version = version_supported();
    line_number(&line, "major", *version >> 4);
    line_number(&line, "minor", *version & 0xf);
    return (NVENCSTATUS)line_end(&line, 0, NV_ENC_SUCCESS);
}

/* Calls of which the stand-in knows nothing: refused, and recorded as a violation. */
#define REFUSED(function, name, ...)                                      \
    static NVENCSTATUS function(__VA_ARGS__) {                            \
        Line line;                                                        \
        line_begin(&line, name);                                          \
        line_violation(&line, "the stand-in does not imitate this call"); \
        return (NVENCSTATUS)line_end(&line, 0, NV_ENC_ERR_UNIMPLEMENTED); \
    }

#define UNUSED __attribute__((unused))
/* Callers test that it is there (NvEncoder.cpp of NVIDIA's samples); the driver itself refuses it today. */
REFUSED(open_old, "nvEncOpenEncodeSession", UNUSED void *device, UNUSED uint32_t type, UNUSED void **encoder)
REFUSED(stats, "nvEncGetEncodeStats", UNUSED void *encoder, UNUSED NV_ENC_STAT *into)
REFUSED(event, "nvEncRegisterAsyncEvent", UNUSED void *encoder, UNUSED NV_ENC_EVENT_PARAMS *p)
REFUSED(no_event, "nvEncUnregisterAsyncEvent", UNUSED void *encoder, UNUSED NV_ENC_EVENT_PARAMS *p)
REFUSED(invalidate, "nvEncInvalidateRefFrames", UNUSED void *encoder, UNUSED uint64_t timestamp)
REFUSED(create_vectors, "nvEncCreateMVBuffer", UNUSED void *encoder, UNUSED NV_ENC_CREATE_MV_BUFFER *p)
REFUSED(destroy_vectors, "nvEncDestroyMVBuffer", UNUSED void *encoder, UNUSED NV_ENC_OUTPUT_PTR handle)
REFUSED(estimate, "nvEncRunMotionEstimationOnly", UNUSED void *encoder, UNUSED NV_ENC_MEONLY_PARAMS *p)
REFUSED(sequence_ex, "nvEncGetSequenceParamEx", UNUSED void *encoder, UNUSED NV_ENC_INITIALIZE_PARAMS *p,
        UNUSED NV_ENC_SEQUENCE_PARAM_PAYLOAD *payload)

static const NV_ENCODE_API_FUNCTION_LIST functions = {
    .nvEncOpenEncodeSession = open_old,
    .nvEncGetEncodeGUIDCount = guid_count,
    .nvEncGetEncodeProfileGUIDCount = profile_count,
    .nvEncGetEncodeProfileGUIDs = profiles,
    .nvEncGetEncodeGUIDs = guids,
    .nvEncGetInputFormatCount = format_count,
    .nvEncGetInputFormats = formats,
    .nvEncGetEncodeCaps = caps,
    .nvEncGetEncodePresetCount = preset_count,
    .nvEncGetEncodePresetGUIDs = presets,
    .nvEncGetEncodePresetConfig = preset_config_old,
    .nvEncInitializeEncoder = initialize_encoder,
    .nvEncCreateInputBuffer = create_input,
    .nvEncDestroyInputBuffer = destroy_input,
    .nvEncCreateBitstreamBuffer = create_bitstream,
    .nvEncDestroyBitstreamBuffer = destroy_bitstream,
    .nvEncEncodePicture = encode_picture,
    .nvEncLockBitstream = lock_bitstream,
    .nvEncUnlockBitstream = unlock_bitstream,
    .nvEncLockInputBuffer = lock_input,
    .nvEncUnlockInputBuffer = unlock_input,
    .nvEncGetEncodeStats = stats,
    .nvEncGetSequenceParams = sequence_params,
    .nvEncRegisterAsyncEvent = event,
    .nvEncUnregisterAsyncEvent = no_event,
    .nvEncMapInputResource = map_resource,
    .nvEncUnmapInputResource = unmap_resource,
    .nvEncDestroyEncoder = destroy_encoder,
    .nvEncInvalidateRefFrames = invalidate,
    .nvEncOpenEncodeSessionEx = open_session,
    .nvEncRegisterResource = register_resource,
    .nvEncUnregisterResource = unregister_resource,
    .nvEncReconfigureEncoder = reconfigure_encoder,
    .nvEncCreateMVBuffer = create_vectors,
    .nvEncDestroyMVBuffer = destroy_vectors,
    .nvEncRunMotionEstimationOnly = estimate,
    .nvEncGetLastErrorString = last_error,
    .nvEncSetIOCudaStreams = set_streams,
    .nvEncGetEncodePresetConfigEx = preset_config_ex,
    .nvEncGetSequenceParamEx = sequence_ex,
};

NVENCSTATUS NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *into) {
    Line line;
    line_begin(&line, "NvEncodeAPICreateInstance");
    uint32_t version = into->version;
    uint32_t api = version & 0x0f0000ff;
    line_number(&line, "api_major", api & 0xff);
    line_number(&line, "api_minor", api >> 24);
    if (!version_known(api) || !version_right(&line, api, V_FUNCTION_LIST, version)) {
        return (NVENCSTATUS)line_end(&line, 0, NV_ENC_ERR_INVALID_VERSION);
    }
    *into = functions;
    into->version = version;
    return (NVENCSTATUS)line_end(&line, 0, NV_ENC_SUCCESS);
}
