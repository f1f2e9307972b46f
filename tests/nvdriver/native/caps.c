/* What the encoder offers: codecs, profiles, presets, formats, capabilities. */
#include "session.h"

#include "guid.h"

#include <string.h>

bool codec_offered(GUID codec) {
    char offered[64];
    char *rest = NULL;
    control_text("codecs", "h264,hevc,av1", offered, sizeof offered);
    for (char *name = strtok_r(offered, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        if (strcmp(name, guid_name(codec)) == 0) {
            return true;
        }
    }
    return false;
}

static uint32_t offered_codecs(GUID *into) {
    const GUID all[] = {NV_ENC_CODEC_H264_GUID, NV_ENC_CODEC_HEVC_GUID, guid_av1};
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (codec_offered(all[i])) {
            into[count++] = all[i];
        }
    }
    return count;
}

static uint32_t offered_profiles(GUID codec, GUID *into) {
    if (guid_same(codec, guid_av1)) {
        into[0] = guid_av1_main;
        return 1;
    }
    if (guid_same(codec, NV_ENC_CODEC_HEVC_GUID)) {
        into[0] = NV_ENC_HEVC_PROFILE_MAIN_GUID;
        into[1] = NV_ENC_HEVC_PROFILE_MAIN10_GUID;
        return 2;
    }
    into[0] = NV_ENC_H264_PROFILE_BASELINE_GUID;
    into[1] = NV_ENC_H264_PROFILE_MAIN_GUID;
    into[2] = NV_ENC_H264_PROFILE_HIGH_GUID;
    return 3;
}

static uint32_t offered_presets(GUID *into) {
    const GUID all[] = {NV_ENC_PRESET_P1_GUID, NV_ENC_PRESET_P2_GUID, NV_ENC_PRESET_P3_GUID, NV_ENC_PRESET_P4_GUID,
                        NV_ENC_PRESET_P5_GUID, NV_ENC_PRESET_P6_GUID, NV_ENC_PRESET_P7_GUID};
    memcpy(into, all, sizeof all);
    return 7;
}

static const NV_ENC_BUFFER_FORMAT offered_formats[] = {NV_ENC_BUFFER_FORMAT_NV12, NV_ENC_BUFFER_FORMAT_YV12,
                                                       NV_ENC_BUFFER_FORMAT_IYUV, NV_ENC_BUFFER_FORMAT_ARGB,
                                                       NV_ENC_BUFFER_FORMAT_ABGR, NV_ENC_BUFFER_FORMAT_YUV420_10BIT};
enum { FORMATS = sizeof offered_formats / sizeof *offered_formats, MOST = 8 };

static NVENCSTATUS put(const char *call, void *encoder, const GUID *all, uint32_t have, GUID *into, uint32_t room,
                       uint32_t *count) {
    Line line;
    Session *s;
    line_begin(&line, call);
    NVENCSTATUS status = session_enter(&line, encoder, OPENED, &s);
    *count = into && have > room ? room : have;
    line_number(&line, "count", *count);
    if (into) {
        memcpy(into, all, *count * sizeof *all);
    }
    return session_leave(&line, s, status);
}

NVENCSTATUS guid_count(void *encoder, uint32_t *count) {
    GUID all[MOST];
    return put("nvEncGetEncodeGUIDCount", encoder, all, offered_codecs(all), NULL, 0, count);
}

NVENCSTATUS guids(void *encoder, GUID *into, uint32_t room, uint32_t *count) {
    GUID all[MOST];
    return put("nvEncGetEncodeGUIDs", encoder, all, offered_codecs(all), into, room, count);
}

NVENCSTATUS profile_count(void *encoder, GUID codec, uint32_t *count) {
    GUID all[MOST];
    return put("nvEncGetEncodeProfileGUIDCount", encoder, all, offered_profiles(codec, all), NULL, 0, count);
}

NVENCSTATUS profiles(void *encoder, GUID codec, GUID *into, uint32_t room, uint32_t *count) {
    GUID all[MOST];
    return put("nvEncGetEncodeProfileGUIDs", encoder, all, offered_profiles(codec, all), into, room, count);
}

NVENCSTATUS preset_count(void *encoder, GUID codec, uint32_t *count) {
    GUID all[MOST];
    (void)codec;
    return put("nvEncGetEncodePresetCount", encoder, all, offered_presets(all), NULL, 0, count);
}

NVENCSTATUS presets(void *encoder, GUID codec, GUID *into, uint32_t room, uint32_t *count) {
    GUID all[MOST];
    (void)codec;
    return put("nvEncGetEncodePresetGUIDs", encoder, all, offered_presets(all), into, room, count);
}

NVENCSTATUS format_count(void *encoder, GUID codec, uint32_t *count) {
    (void)codec;
    return put("nvEncGetInputFormatCount", encoder, NULL, FORMATS, NULL, 0, count);
}

NVENCSTATUS formats(void *encoder, GUID codec, NV_ENC_BUFFER_FORMAT *into, uint32_t room, uint32_t *count) {
    NVENCSTATUS status = format_count(encoder, codec, count);
    *count = *count > room ? room : *count;
    memcpy(into, offered_formats, *count * sizeof *into);
    return status;
}

/* Of the Ada generation, by NVIDIA's tables of encoder capabilities; the least of AV1 as users report. */
const Limits *limits_of(GUID codec) {
    static const Limits h264 = {145, 49, 4096, 10, 62};
    static const Limits hevc = {129, 33, 8192, 30, 186};
    static const Limits av1 = {128, 128, 8192, 0, 23};
    return guid_same(codec, guid_av1) ? &av1 : guid_same(codec, NV_ENC_CODEC_HEVC_GUID) ? &hevc : &h264;
}

int most_b_frames(void) {
    return (int)control_number("b_frames", 4);
}

/* With one engine; what the stand-in cannot do is 0. */
static int capability(NV_ENC_CAPS cap, GUID codec) {
    const Limits *limits = limits_of(codec);
    bool h264 = guid_same(codec, NV_ENC_CODEC_H264_GUID);
    bool hevc = guid_same(codec, NV_ENC_CODEC_HEVC_GUID);
    switch (cap) {
    case NV_ENC_CAPS_NUM_MAX_BFRAMES:
        return most_b_frames();
    case NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES:
        return NV_ENC_PARAMS_RC_CBR | NV_ENC_PARAMS_RC_VBR;
    case NV_ENC_CAPS_SUPPORT_CABAC:
    case NV_ENC_CAPS_SUPPORT_ADAPTIVE_TRANSFORM:
        return h264;
    case NV_ENC_CAPS_LEVEL_MAX:
        return limits->most_level;
    case NV_ENC_CAPS_LEVEL_MIN:
        return limits->least_level;
    case NV_ENC_CAPS_WIDTH_MAX:
    case NV_ENC_CAPS_HEIGHT_MAX:
        return (int)limits->most;
    case NV_ENC_CAPS_WIDTH_MIN:
        return (int)limits->least_width;
    case NV_ENC_CAPS_HEIGHT_MIN:
        return (int)limits->least_height;
    case NV_ENC_CAPS_MB_NUM_MAX:
        return h264 ? 65536 : 262144;
    case NV_ENC_CAPS_MB_PER_SEC_MAX:
        return 983040;
    case NV_ENC_CAPS_SUPPORT_10BIT_ENCODE:
        return hevc;
    case NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE:
        return most_b_frames() ? 2 : 0; /* the middle one */
    case NV_ENC_CAPS_SUPPORT_QPELMV:
    case NV_ENC_CAPS_SUPPORT_BDIRECT_MODE:
    case NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE:
    case NV_ENC_CAPS_SUPPORT_DYN_RCMODE_CHANGE:
    case NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE:
    case NV_ENC_CAPS_SUPPORT_DYNAMIC_SLICE_MODE:
    case NV_ENC_CAPS_SUPPORT_LOOKAHEAD:
    case NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ:
    case NV_ENC_CAPS_SUPPORT_MULTIPLE_REF_FRAMES:
        return 1;
    default:
        return 0;
    }
}

static NVENCSTATUS ask(Line *line, const Session *s, GUID codec, const NV_ENC_CAPS_PARAM *p, int *value) {
    if (!version_right(line, s->api, V_CAPS, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    line_number(line, "capsToQuery", p->capsToQuery);
    if (!codec_offered(codec)) {
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    *value = capability(p->capsToQuery, codec);
    line_number(line, "value", *value);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS caps(void *encoder, GUID codec, NV_ENC_CAPS_PARAM *p, int *value) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncGetEncodeCaps");
    line_text(&line, "encodeGUID", guid_name(codec));
    *value = 0;
    NVENCSTATUS status = session_enter(&line, encoder, OPENED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? ask(&line, s, codec, p, value) : status);
}
