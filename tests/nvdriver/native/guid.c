#include "guid.h"

#include <string.h>

const GUID guid_av1 = {0x0a352289, 0x0aa7, 0x4759, {0x86, 0x2d, 0x5d, 0x15, 0xcd, 0x16, 0xd2, 0x54}};
const GUID guid_av1_main = {0x5f2a39f5, 0xf14e, 0x4f95, {0x9a, 0x9e, 0xb7, 0x6d, 0x56, 0x8f, 0xcf, 0x97}};

typedef struct {
    const GUID *guid;
    const char *name;
} Name;

static const Name names[] = {
    {&NV_ENC_CODEC_H264_GUID, "h264"},
    {&NV_ENC_CODEC_HEVC_GUID, "hevc"},
    {&guid_av1, "av1"},
    {&NV_ENC_PRESET_P1_GUID, "P1"},
    {&NV_ENC_PRESET_P2_GUID, "P2"},
    {&NV_ENC_PRESET_P3_GUID, "P3"},
    {&NV_ENC_PRESET_P4_GUID, "P4"},
    {&NV_ENC_PRESET_P5_GUID, "P5"},
    {&NV_ENC_PRESET_P6_GUID, "P6"},
    {&NV_ENC_PRESET_P7_GUID, "P7"},
    {&NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, "auto"},
    {&NV_ENC_H264_PROFILE_BASELINE_GUID, "baseline"},
    {&NV_ENC_H264_PROFILE_MAIN_GUID, "main"},
    {&NV_ENC_H264_PROFILE_HIGH_GUID, "high"},
    {&NV_ENC_H264_PROFILE_HIGH_444_GUID, "high444"},
    {&NV_ENC_HEVC_PROFILE_MAIN_GUID, "hevc_main"},
    {&NV_ENC_HEVC_PROFILE_MAIN10_GUID, "hevc_main10"},
    {&NV_ENC_HEVC_PROFILE_FREXT_GUID, "hevc_frext"},
    {&guid_av1_main, "av1_main"},
};

bool guid_same(GUID one, GUID other) {
    return memcmp(&one, &other, sizeof one) == 0;
}

const char *guid_name(GUID guid) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (guid_same(*names[i].guid, guid)) {
            return names[i].name;
        }
    }
    return "unknown";
}

int guid_preset(GUID guid) {
    const char *name = guid_name(guid);
    return name[0] == 'P' ? name[1] - '0' : 0;
}
