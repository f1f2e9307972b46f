/* H.264 over libx264: the parameters of NVENC in those of x264, as near as they go. */
#include "codec.h"
#include "guid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <x264.h>

enum { HEADER_BYTES = 512, QUEUE = 128 };

typedef struct {
    x264_t *x264;
    x264_param_t parameters;
    uint8_t headers[HEADER_BYTES];
    size_t header_bytes;
    bool repeat_headers;
    bool no_headers;
    int64_t taken;
    Stamp stamps[QUEUE]; /* by number of picture; x264 holds far fewer back */
} H264;

/* Faster than the names promise: a test waits for it. */
static const char *speed(int preset) {
    return preset <= 2 ? "ultrafast" : preset <= 5 ? "superfast" : "veryfast";
}

static int kilobits(uint32_t bits) {
    return bits && bits < 1000 ? 1 : (int)(bits / 1000);
}

static void limit_rate(x264_param_t *p, const NV_ENC_RC_PARAMS *rate, uint32_t peak) {
    if (peak) {
        p->rc.i_vbv_max_bitrate = kilobits(peak);
        p->rc.i_vbv_buffer_size = kilobits(rate->vbvBufferSize ? rate->vbvBufferSize : peak);
        p->rc.f_vbv_buffer_init = rate->vbvInitialDelay && rate->vbvBufferSize
                                      ? (float)rate->vbvInitialDelay / (float)rate->vbvBufferSize
                                      : 0.9f;
    }
}

static void set_rate(x264_param_t *p, const NV_ENC_RC_PARAMS *rate) {
    static const uint32_t default_bits = 5000000; /* the driver's own choice where a caller names no rate */
    uint32_t bits = rate->averageBitRate ? rate->averageBitRate : default_bits;
    if (rate->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP) {
        p->rc.i_rc_method = X264_RC_CQP;
        p->rc.i_qp_constant = (int)rate->constQP.qpInterP;
        p->rc.f_ip_factor = exp2f(((float)rate->constQP.qpInterP - (float)rate->constQP.qpIntra) / 6);
        p->rc.f_pb_factor = exp2f(((float)rate->constQP.qpInterB - (float)rate->constQP.qpInterP) / 6);
    } else if (rate->rateControlMode == NV_ENC_PARAMS_RC_VBR && rate->targetQuality) {
        p->rc.i_rc_method = X264_RC_CRF;
        p->rc.f_rf_constant = (float)rate->targetQuality + (float)rate->targetQualityLSB / 256;
        limit_rate(p, rate, rate->maxBitRate);
    } else {
        p->rc.i_rc_method = X264_RC_ABR;
        p->rc.i_bitrate = kilobits(bits);
        limit_rate(p, rate, rate->rateControlMode == NV_ENC_PARAMS_RC_CBR ? bits : rate->maxBitRate);
    }
    if (rate->enableMinQP) {
        p->rc.i_qp_min = (int)rate->minQP.qpInterP;
    }
    if (rate->enableMaxQP) {
        p->rc.i_qp_max = (int)rate->maxQP.qpInterP;
    }
    p->rc.i_aq_mode = rate->enableAQ ? X264_AQ_VARIANCE : X264_AQ_NONE;
    p->rc.f_aq_strength = rate->aqStrength ? (float)rate->aqStrength / 8 : 1;
}

static void set_pictures(x264_param_t *p, const NV_ENC_CONFIG *config) {
    const NV_ENC_CONFIG_H264 *h264 = &config->encodeCodecConfig.h264Config;
    bool lookahead = config->rcParams.enableLookahead && config->rcParams.lookaheadDepth;
    p->i_keyint_max = X264_KEYINT_MAX_INFINITE; /* the session says which pictures are IDR */
    p->i_scenecut_threshold = 0;
    p->i_bframe = config->frameIntervalP > 1 ? config->frameIntervalP - 1 : 0;
    p->i_bframe_adaptive = lookahead && !config->rcParams.disableBadapt ? X264_B_ADAPT_FAST : X264_B_ADAPT_NONE;
    p->i_bframe_pyramid =
        h264->useBFramesAsRef == NV_ENC_BFRAME_REF_MODE_DISABLED ? X264_B_PYRAMID_NONE : X264_B_PYRAMID_NORMAL;
    p->rc.i_lookahead = lookahead ? config->rcParams.lookaheadDepth : 0;
    p->rc.b_mb_tree = lookahead;
    p->i_frame_reference = h264->maxNumRefFrames ? (int)h264->maxNumRefFrames : p->i_frame_reference;
}

static void set_tools(x264_param_t *p, const NV_ENC_CONFIG *config) {
    const NV_ENC_CONFIG_H264 *h264 = &config->encodeCodecConfig.h264Config;
    bool baseline = guid_same(config->profileGUID, NV_ENC_H264_PROFILE_BASELINE_GUID);
    bool main = guid_same(config->profileGUID, NV_ENC_H264_PROFILE_MAIN_GUID);
    p->b_cabac = !baseline && h264->entropyCodingMode != NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
    p->analyse.b_transform_8x8 =
        !baseline && !main && h264->adaptiveTransformMode != NV_ENC_H264_ADAPTIVE_TRANSFORM_DISABLE;
    p->b_deblocking_filter = h264->disableDeblockingFilterIDC != 1;
    p->analyse.i_weighted_pred = X264_WEIGHTP_NONE;
    p->i_slice_count = h264->sliceMode == 3 && h264->sliceModeData > 1 ? (int)h264->sliceModeData : 0;
    p->i_sps_id = (int)h264->spsId;
    p->b_aud = h264->outputAUD;
    if (h264->level) {
        p->i_level_idc = (int)h264->level;
    }
}

static int divisor(int one, int other) {
    return other ? divisor(other, one % other) : one;
}

static void set_usability(x264_param_t *p, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    const NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui = &config->encodeCodecConfig.h264Config.h264VUIParameters;
    if (vui->videoSignalTypePresentFlag) {
        p->vui.i_vidformat = (int)vui->videoFormat;
        p->vui.b_fullrange = (int)vui->videoFullRangeFlag;
        if (vui->colourDescriptionPresentFlag) {
            p->vui.i_colorprim = (int)vui->colourPrimaries;
            p->vui.i_transfer = (int)vui->transferCharacteristics;
            p->vui.i_colmatrix = (int)vui->colourMatrix;
        }
    }
    if (initialize->darWidth && initialize->darHeight) {
        int wide = (int)(initialize->darWidth * initialize->encodeHeight);
        int high = (int)(initialize->darHeight * initialize->encodeWidth);
        int common = divisor(wide, high);
        p->vui.i_sar_width = wide / common;
        p->vui.i_sar_height = high / common;
    }
    p->i_fps_num = initialize->frameRateNum ? initialize->frameRateNum : 30;
    p->i_fps_den = initialize->frameRateNum && initialize->frameRateDen ? initialize->frameRateDen : 1;
    /* From API 12 the first three reserved words are timingInfoPresentFlag, numUnitInTicks and timeScale. */
    if (vui->reserved[0] && vui->reserved[1] && vui->reserved[2]) {
        p->i_fps_num = vui->reserved[2];
        p->i_fps_den = 2 * vui->reserved[1];
    }
    p->b_vfr_input = 0;
}

static void set(x264_param_t *p, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    x264_param_default_preset(p, speed(guid_preset(initialize->presetGUID)), NULL);
    p->i_log_level = X264_LOG_NONE;
    p->i_threads = 1;
    p->i_sync_lookahead = 0;
    p->b_repeat_headers = 0; /* they are put in by us, where NVENC puts them */
    p->b_annexb = 1;
    p->i_csp = X264_CSP_NV12;
    p->i_width = (int)initialize->encodeWidth;
    p->i_height = (int)initialize->encodeHeight;
    set_rate(p, &config->rcParams);
    set_pictures(p, config);
    set_tools(p, config);
    set_usability(p, initialize, config);
    if (guid_same(config->profileGUID, NV_ENC_H264_PROFILE_BASELINE_GUID)) {
        x264_param_apply_profile(p, "baseline");
    }
}

static void keep_headers(H264 *h264) {
    x264_nal_t *nals;
    int count;
    x264_encoder_headers(h264->x264, &nals, &count);
    for (int i = 0; i < count; i++) {
        bool set = nals[i].i_type == NAL_SPS || nals[i].i_type == NAL_PPS;
        if (set && h264->header_bytes + (size_t)nals[i].i_payload <= HEADER_BYTES) {
            memcpy(h264->headers + h264->header_bytes, nals[i].p_payload, (size_t)nals[i].i_payload);
            h264->header_bytes += (size_t)nals[i].i_payload;
        }
    }
}

static void *open_h264(const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    H264 *h264 = calloc(1, sizeof *h264);
    set(&h264->parameters, initialize, config);
    h264->x264 = x264_encoder_open(&h264->parameters);
    if (h264->x264 == NULL) {
        free(h264);
        return NULL;
    }
    h264->repeat_headers = config->encodeCodecConfig.h264Config.repeatSPSPPS;
    h264->no_headers = config->encodeCodecConfig.h264Config.disableSPSPPS;
    keep_headers(h264);
    return h264;
}

static size_t headers(void *encoder, uint8_t *into, size_t bytes) {
    H264 *h264 = encoder;
    if (h264->header_bytes <= bytes) {
        memcpy(into, h264->headers, h264->header_bytes);
    }
    return h264->header_bytes;
}

static NV_ENC_PIC_TYPE type_of(const x264_picture_t *picture) {
    switch (picture->i_type) {
    case X264_TYPE_IDR:
        return NV_ENC_PIC_TYPE_IDR;
    case X264_TYPE_I:
        return NV_ENC_PIC_TYPE_I;
    case X264_TYPE_B:
    case X264_TYPE_BREF:
        return NV_ENC_PIC_TYPE_B;
    default:
        return NV_ENC_PIC_TYPE_P;
    }
}

/* Parameter sets follow an access unit delimiter and precede all else. */
static Packet *packed(const H264 *h264, const x264_nal_t *nals, int bytes, const x264_picture_t *picture) {
    const Stamp *stamp = &h264->stamps[picture->i_pts % QUEUE];
    bool first = picture->i_pts == 0;
    bool wanted = (picture->i_type == X264_TYPE_IDR && (h264->repeat_headers || first)) || stamp->headers;
    size_t front = nals[0].i_type == NAL_AUD ? (size_t)nals[0].i_payload : 0;
    size_t sets = wanted && !h264->no_headers ? h264->header_bytes : 0;
    Packet *packet = packet_of(NULL, (size_t)bytes + sets, type_of(picture), stamp);
    memcpy(packet->data, nals[0].p_payload, front);
    memcpy(packet->data + front, h264->headers, sets);
    memcpy(packet->data + front + sets, nals[0].p_payload + front, (size_t)bytes - front);
    packet->quantizer = picture->i_qpplus1 - 1;
    return packet;
}

static Packet *encode(void *encoder, const Frame *frame, int type, const Stamp *stamp) {
    H264 *h264 = encoder;
    x264_picture_t in;
    x264_picture_t out;
    x264_nal_t *nals;
    int count;
    x264_picture_init(&in);
    if (frame) {
        in.img.i_csp = X264_CSP_NV12;
        in.img.i_plane = 2;
        in.img.plane[0] = (uint8_t *)(uintptr_t)frame->luma;
        in.img.plane[1] = (uint8_t *)(uintptr_t)frame->chroma;
        in.img.i_stride[0] = frame->luma_pitch;
        in.img.i_stride[1] = frame->chroma_pitch;
        in.i_type = type == (int)NV_ENC_PIC_TYPE_IDR ? X264_TYPE_IDR
                    : type == (int)NV_ENC_PIC_TYPE_I ? X264_TYPE_I
                                                     : X264_TYPE_AUTO;
        in.i_pts = h264->taken++;
        h264->stamps[in.i_pts % QUEUE] = *stamp;
    } else if (x264_encoder_delayed_frames(h264->x264) == 0) {
        return NULL;
    }
    int bytes = x264_encoder_encode(h264->x264, &nals, &count, frame ? &in : NULL, &out);
    return bytes > 0 ? packed(h264, nals, bytes, &out) : NULL;
}

static bool reconfigure(void *encoder, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    H264 *h264 = encoder;
    x264_param_t changed;
    set(&changed, initialize, config);
    return x264_encoder_reconfig(h264->x264, &changed) == 0;
}

static void close_h264(void *encoder) {
    H264 *h264 = encoder;
    x264_encoder_close(h264->x264);
    free(h264);
}

const Codec codec_h264 = {"h264", open_h264, headers, encode, reconfigure, close_h264};
