/* What a preset and a tuning set. Only the outlines of the real ones: NVIDIA does not document their values. */
#include "session.h"

#include "av1.h"
#include "guid.h"

#include <string.h>

void preset_config(NV_ENC_CONFIG *config, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning) {
    bool hevc = guid_same(codec, NV_ENC_CODEC_HEVC_GUID);
    bool low_latency = tuning == NV_ENC_TUNING_INFO_LOW_LATENCY || tuning == NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
    uint32_t gop = low_latency ? NVENC_INFINITE_GOPLENGTH : 250;
    memset(config, 0, sizeof *config);
    config->profileGUID = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    config->gopLength = gop;
    /* "preset >= P3 internally enables B frames" for high quality and lossless (nvEncodeAPI.h, 13.0). */
    config->frameIntervalP = most_b_frames() < 2 || low_latency || guid_preset(preset) < 3 ? 1 : 3;
    config->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
    config->mvPrecision = NV_ENC_MV_PRECISION_QUARTER_PEL;
    config->rcParams.rateControlMode = low_latency ? NV_ENC_PARAMS_RC_CBR : NV_ENC_PARAMS_RC_VBR;
    config->rcParams.constQP = (NV_ENC_QP){28, 31, 25};
    if (guid_same(codec, guid_av1)) {
        config_av1_of(config)->level = AV1_LEVEL_AUTO;
        config_av1_of(config)->idrPeriod = gop;
        config_av1_of(config)->chromaFormatIDC = 1;
    } else if (hevc) {
        config->encodeCodecConfig.hevcConfig.idrPeriod = gop;
        config->encodeCodecConfig.hevcConfig.chromaFormatIDC = 1;
    } else {
        config->encodeCodecConfig.h264Config.idrPeriod = gop;
        config->encodeCodecConfig.h264Config.chromaFormatIDC = 1;
    }
}

static NVENCSTATUS fill(Line *line, const Session *s, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning,
                        NV_ENC_PRESET_CONFIG *into) {
    if (!version_right(line, s->api, V_PRESET, into->version) ||
        !version_right(line, s->api, V_CONFIG, into->presetCfg.version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (!codec_offered(codec) || guid_preset(preset) == 0) {
        line_violation(line, "no such codec or preset");
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    uint32_t version = into->presetCfg.version;
    preset_config(&into->presetCfg, codec, preset, tuning);
    into->presetCfg.version = version;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS preset_config_ex(void *encoder, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning,
                             NV_ENC_PRESET_CONFIG *into) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncGetEncodePresetConfigEx");
    line_text(&line, "encodeGUID", guid_name(codec));
    line_text(&line, "presetGUID", guid_name(preset));
    line_number(&line, "tuningInfo", tuning);
    NVENCSTATUS status = session_enter(&line, encoder, OPENED, &s);
    bool known = tuning >= NV_ENC_TUNING_INFO_HIGH_QUALITY && tuning <= NV_ENC_TUNING_INFO_LOSSLESS;
    if (status == NV_ENC_SUCCESS && !known) {
        line_violation(&line, "no tuning %d for this codec", (int)tuning);
        status = NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? fill(&line, s, codec, preset, tuning, into) : status);
}

/* Of the presets before API 10; P1 to P7 need a tuning. The wheel's 12.1 module asks, and disregards the answer. */
NVENCSTATUS preset_config_old(void *encoder, GUID codec, GUID preset, NV_ENC_PRESET_CONFIG *into) {
    Line line;
    Session *s;
    (void)codec;
    (void)into;
    line_begin(&line, "nvEncGetEncodePresetConfig");
    line_text(&line, "presetGUID", guid_name(preset));
    NVENCSTATUS status = session_enter(&line, encoder, OPENED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? NV_ENC_ERR_UNSUPPORTED_PARAM : status);
}
