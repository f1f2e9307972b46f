#include "version.h"

#include "control.h"

#include <stdio.h>

typedef struct {
    const char *name;
    unsigned api_11; /* nvEncodeAPI.h of libffmpeg-nvenc-dev, 11.1 */
    unsigned api_12; /* 12.0 and 12.1: what the 12.1 module of PyNvVideoCodec sends */
    unsigned api_13; /* 12.2 to 13.1: what its 13.0 module and FFmpeg's h264_nvenc send */
} Numbers;

enum { LAYOUT = 0x8000 };

static const Numbers numbers[V_STRUCTS] = {
    [V_FUNCTION_LIST] = {"NV_ENCODE_API_FUNCTION_LIST", 2, 2, 2},
    [V_OPEN] = {"NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS", 1, 1, 1},
    [V_CAPS] = {"NV_ENC_CAPS_PARAM", 1, 1, 1},
    [V_PRESET] = {"NV_ENC_PRESET_CONFIG", 4 | LAYOUT, 4 | LAYOUT, 5 | LAYOUT},
    [V_CONFIG] = {"NV_ENC_CONFIG", 7 | LAYOUT, 8 | LAYOUT, 9 | LAYOUT},
    [V_INITIALIZE] = {"NV_ENC_INITIALIZE_PARAMS", 5 | LAYOUT, 6 | LAYOUT, 7 | LAYOUT},
    [V_RECONFIGURE] = {"NV_ENC_RECONFIGURE_PARAMS", 1 | LAYOUT, 1 | LAYOUT, 2 | LAYOUT},
    [V_PICTURE] = {"NV_ENC_PIC_PARAMS", 4 | LAYOUT, 6 | LAYOUT, 7 | LAYOUT},
    [V_LOCK_BITSTREAM] = {"NV_ENC_LOCK_BITSTREAM", 1, 1 | LAYOUT, 2 | LAYOUT},
    [V_LOCK_INPUT] = {"NV_ENC_LOCK_INPUT_BUFFER", 1, 1, 1},
    [V_CREATE_INPUT] = {"NV_ENC_CREATE_INPUT_BUFFER", 1, 1, 2},
    [V_CREATE_BITSTREAM] = {"NV_ENC_CREATE_BITSTREAM_BUFFER", 1, 1, 1},
    [V_REGISTER] = {"NV_ENC_REGISTER_RESOURCE", 3, 4, 5},
    [V_MAP] = {"NV_ENC_MAP_INPUT_RESOURCE", 4, 4, 4},
    [V_SEQUENCE] = {"NV_ENC_SEQUENCE_PARAM_PAYLOAD", 1, 1, 1},
};

static unsigned major_of(uint32_t api) {
    return api & 0xff;
}

static unsigned minor_of(uint32_t api) {
    return api >> 24 & 0xf;
}

uint32_t version_supported(void) {
    char text[16];
    unsigned major = 13;
    unsigned minor = 1;
    control_text("api_version", "13.1", text, sizeof text);
    sscanf(text, "%u.%u", &major, &minor);
    return major << 4 | minor;
}

bool version_known(uint32_t api) {
    return major_of(api) >= 11 && (major_of(api) << 4 | minor_of(api)) <= version_supported();
}

bool version_right(Line *line, uint32_t api, Struct which, uint32_t version) {
    const Numbers *row = &numbers[which];
    unsigned packed = major_of(api) << 4 | minor_of(api);
    unsigned number = packed < 0xc0 ? row->api_11 : packed < 0xc2 ? row->api_12 : row->api_13;
    uint32_t right = api | (number & 0xff) << 16 | 7u << 28 | (number & LAYOUT ? 1u << 31 : 0);
    if (version == right) {
        return true;
    }
    line_violation(line, "version 0x%08x of %s; API %u.%u has 0x%08x", version, row->name, major_of(api), minor_of(api),
                   right);
    return false;
}
