/* HEVC over libx265, 8 or 10 bits: the parameters of NVENC in those of x265, as near as they go.
 *
 * For B-frames x265 holds back more pictures than callers of NVENC have buffers for. So its lookahead is told once that
 * it is full, when the first P and the B-frames before it are there, and goes on in that step. It would lose the step at
 * the next IDR picture, so each begins with an encoder of its own. */
#include "codec.h"
#include "guid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <x265.h>

enum { HEADER_BYTES = 1024, QUEUE = 128 };

typedef struct {
    const x265_api *api;
    x265_encoder *x265;
    x265_param *parameters;
    NV_ENC_CONFIG config;
    uint8_t headers[HEADER_BYTES];
    size_t header_bytes;
    bool repeat_headers;
    bool no_headers;
    int64_t taken;
    int64_t begun; /* the number of the picture that this encoder began with */
    bool in_step;
    uint8_t *planes; /* the picture as I420, which is all that x265 takes */
    Stamp stamps[QUEUE];
} Hevc;

/* From API 12.2 the depth is two words after numRefL1 (8 or 10) and these bits are reserved. */
static int depth(const NV_ENC_CONFIG *config) {
    const NV_ENC_CONFIG_HEVC *hevc = &config->encodeCodecConfig.hevcConfig;
    enum { OUTPUT_BIT_DEPTH = 2 }; /* of reserved1: tfLevel, disableDeblockingFilterIDC, outputBitDepth */
    bool ten = hevc->pixelBitDepthMinus8 || hevc->reserved1[OUTPUT_BIT_DEPTH] == 10 ||
               guid_same(config->profileGUID, NV_ENC_HEVC_PROFILE_MAIN10_GUID);
    return ten ? 10 : 8;
}

static void set_rate(x265_param *p, const NV_ENC_RC_PARAMS *rate) {
    static const uint32_t default_bits = 5000000;
    uint32_t bits = rate->averageBitRate ? rate->averageBitRate : default_bits;
    uint32_t peak = rate->rateControlMode == NV_ENC_PARAMS_RC_CBR ? bits : rate->maxBitRate;
    if (rate->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP) {
        p->rc.rateControlMode = X265_RC_CQP;
        p->rc.qp = (int)rate->constQP.qpInterP;
        p->rc.ipFactor = exp2(((double)rate->constQP.qpInterP - (double)rate->constQP.qpIntra) / 6);
        p->rc.pbFactor = exp2(((double)rate->constQP.qpInterB - (double)rate->constQP.qpInterP) / 6);
    } else if (rate->rateControlMode == NV_ENC_PARAMS_RC_VBR && rate->targetQuality) {
        p->rc.rateControlMode = X265_RC_CRF;
        p->rc.rfConstant = (double)rate->targetQuality + (double)rate->targetQualityLSB / 256;
    } else {
        p->rc.rateControlMode = X265_RC_ABR;
        p->rc.bitrate = (int)(bits / 1000);
    }
    if (peak && p->rc.rateControlMode != X265_RC_CQP) {
        p->rc.vbvMaxBitrate = (int)(peak / 1000);
        p->rc.vbvBufferSize = (int)((rate->vbvBufferSize ? rate->vbvBufferSize : peak) / 1000);
    }
    p->rc.aqMode = rate->enableAQ ? X265_AQ_VARIANCE : X265_AQ_NONE;
}

static int b_frames(const NV_ENC_CONFIG *config) {
    return config->frameIntervalP > 1 ? config->frameIntervalP - 1 : 0;
}

static void set_pictures(x265_param *p, const NV_ENC_CONFIG *config) {
    const NV_ENC_CONFIG_HEVC *hevc = &config->encodeCodecConfig.hevcConfig;
    p->keyframeMax = -1; /* the session says which pictures are IDR */
    p->bOpenGOP = 0;
    p->scenecutThreshold = 0;
    p->bframes = b_frames(config);
    p->bFrameAdaptive = X265_B_ADAPT_NONE;
    p->bBPyramid = hevc->useBFramesAsRef != NV_ENC_BFRAME_REF_MODE_DISABLED;
    p->lookaheadDepth = p->bframes ? p->bframes + 1 : 0; /* the least; the session holds back for a longer one */
    p->rc.cuTree = 0;
    p->bRepeatHeaders = 0; /* they are put in by us, where NVENC puts them */
    p->bEnableAccessUnitDelimiters = hevc->outputAUD;
    p->levelIdc = (int)hevc->level / 3;
    p->bHighTier = (int)hevc->tier;
}

static void set_usability(x265_param *p, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    const NV_ENC_CONFIG_HEVC_VUI_PARAMETERS *vui = &config->encodeCodecConfig.hevcConfig.hevcVUIParameters;
    p->fpsNum = initialize->frameRateNum ? initialize->frameRateNum : 30;
    p->fpsDenom = initialize->frameRateNum && initialize->frameRateDen ? initialize->frameRateDen : 1;
    p->vui.bEnableVideoSignalTypePresentFlag = (int)vui->videoSignalTypePresentFlag;
    p->vui.videoFormat = (int)vui->videoFormat;
    p->vui.bEnableVideoFullRangeFlag = (int)vui->videoFullRangeFlag;
    p->vui.bEnableColorDescriptionPresentFlag = (int)vui->colourDescriptionPresentFlag;
    p->vui.colorPrimaries = (int)vui->colourPrimaries;
    p->vui.transferCharacteristics = (int)vui->transferCharacteristics;
    p->vui.matrixCoeffs = (int)vui->colourMatrix;
}

static void set(const x265_api *api, x265_param *p, const NV_ENC_INITIALIZE_PARAMS *initialize,
                const NV_ENC_CONFIG *config) {
    api->param_default_preset(p, "ultrafast", NULL);
    p->logLevel = X265_LOG_NONE;
    p->frameNumThreads = 1;
    p->bEnableWavefront = 0;
    p->numaPools = "none";
    p->bEmitInfoSEI = 0;
    p->internalCsp = X265_CSP_I420;
    p->sourceWidth = (int)initialize->encodeWidth;
    p->sourceHeight = (int)initialize->encodeHeight;
    set_rate(p, &config->rcParams);
    set_pictures(p, config);
    set_usability(p, initialize, config);
}

static void keep_headers(Hevc *hevc) {
    x265_nal *nals;
    uint32_t count;
    hevc->api->encoder_headers(hevc->x265, &nals, &count);
    for (uint32_t i = 0; i < count; i++) {
        bool set = nals[i].type == NAL_UNIT_VPS || nals[i].type == NAL_UNIT_SPS || nals[i].type == NAL_UNIT_PPS;
        if (set && hevc->header_bytes + nals[i].sizeBytes <= HEADER_BYTES) {
            memcpy(hevc->headers + hevc->header_bytes, nals[i].payload, nals[i].sizeBytes);
            hevc->header_bytes += nals[i].sizeBytes;
        }
    }
}

static bool begin(Hevc *hevc) {
    hevc->begun = hevc->taken;
    hevc->in_step = b_frames(&hevc->config) == 0;
    hevc->x265 = hevc->api->encoder_open(hevc->parameters);
    return hevc->x265 != NULL;
}

static void end(Hevc *hevc) {
    if (hevc->x265) {
        hevc->api->encoder_close(hevc->x265);
        hevc->x265 = NULL;
    }
}

static void close_hevc(void *encoder) {
    Hevc *hevc = encoder;
    end(hevc);
    hevc->api->param_free(hevc->parameters);
    free(hevc->planes);
    free(hevc);
}

static void *open_hevc(const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    const x265_api *api = x265_api_get(depth(config));
    if (api == NULL) {
        return NULL;
    }
    Hevc *hevc = calloc(1, sizeof *hevc);
    hevc->api = api;
    hevc->parameters = api->param_alloc();
    hevc->config = *config;
    set(api, hevc->parameters, initialize, config);
    if (!begin(hevc)) {
        close_hevc(hevc);
        return NULL;
    }
    hevc->planes = malloc((size_t)initialize->encodeWidth * initialize->encodeHeight * 3);
    hevc->repeat_headers = config->encodeCodecConfig.hevcConfig.repeatSPSPPS;
    hevc->no_headers = config->encodeCodecConfig.hevcConfig.disableSPSPPS;
    keep_headers(hevc);
    return hevc;
}

static size_t headers(void *encoder, uint8_t *into, size_t bytes) {
    Hevc *hevc = encoder;
    if (hevc->header_bytes <= bytes) {
        memcpy(into, hevc->headers, hevc->header_bytes);
    }
    return hevc->header_bytes;
}

/* Takes the pairs of chroma apart. */
static void planar(Hevc *hevc, const Frame *frame, x265_picture *picture) {
    size_t sample = (size_t)frame->bytes_per_sample;
    size_t width = (size_t)hevc->parameters->sourceWidth;
    size_t height = (size_t)hevc->parameters->sourceHeight;
    uint8_t *u = hevc->planes;
    uint8_t *v = u + width / 2 * (height / 2) * sample;
    for (size_t y = 0; y < height / 2; y++) {
        const uint8_t *row = frame->chroma + y * (size_t)frame->chroma_pitch;
        for (size_t x = 0; x < width / 2; x++, u += sample, v += sample) {
            memcpy(u, row + 2 * x * sample, sample);
            memcpy(v, row + (2 * x + 1) * sample, sample);
        }
    }
    picture->planes[0] = (void *)(uintptr_t)frame->luma;
    picture->planes[1] = hevc->planes;
    picture->planes[2] = hevc->planes + width / 2 * (height / 2) * sample;
    picture->stride[0] = frame->luma_pitch;
    picture->stride[1] = picture->stride[2] = (int)(width / 2 * sample);
    picture->bitDepth = sample == 2 ? 16 : 8; /* P010 has its ten bits on top */
    picture->colorSpace = X265_CSP_I420;
}

static NV_ENC_PIC_TYPE type_of(const x265_picture *picture) {
    bool between = picture->sliceType == X265_TYPE_B || picture->sliceType == X265_TYPE_BREF;
    return picture->sliceType == X265_TYPE_IDR ? NV_ENC_PIC_TYPE_IDR
           : picture->sliceType == X265_TYPE_I ? NV_ENC_PIC_TYPE_I
           : between                           ? NV_ENC_PIC_TYPE_B
                                               : NV_ENC_PIC_TYPE_P;
}

static Packet *packed(const Hevc *hevc, const x265_nal *nals, uint32_t count, const x265_picture *picture) {
    const Stamp *stamp = &hevc->stamps[picture->pts % QUEUE];
    bool first = picture->pts == 0;
    bool wanted = (picture->sliceType == X265_TYPE_IDR && (hevc->repeat_headers || first)) || stamp->headers;
    size_t front = nals[0].type == NAL_UNIT_ACCESS_UNIT_DELIMITER ? nals[0].sizeBytes : 0;
    size_t sets = wanted && !hevc->no_headers ? hevc->header_bytes : 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += nals[i].sizeBytes; /* the payloads of one picture lie one after the other (x265.h) */
    }
    Packet *packet = packet_of(NULL, bytes + sets, type_of(picture), stamp);
    memcpy(packet->data, nals[0].payload, front);
    memcpy(packet->data + front, hevc->headers, sets);
    memcpy(packet->data + front + sets, nals[0].payload + front, bytes - front);
    packet->quantizer = (int)picture->frameData.qp;
    return packet;
}

/* One call of x265 with a picture, or with none to have what it holds back; adds the packet that it gives. */
static bool step(Hevc *hevc, x265_picture *in, Packet ***last) {
    x265_picture out;
    x265_nal *nals;
    uint32_t count = 0;
    hevc->api->picture_init(hevc->parameters, &out);
    bool any = hevc->api->encoder_encode(hevc->x265, &nals, &count, in, &out) > 0 && count > 0;
    if (any) {
        **last = packed(hevc, nals, count, &out);
        *last = &(**last)->next;
    }
    return any;
}

static void drain(Hevc *hevc, Packet ***last) {
    while (hevc->x265 && step(hevc, NULL, last)) {
    }
    end(hevc);
}

static void take(Hevc *hevc, const Frame *frame, int type, const Stamp *stamp, Packet ***last) {
    x265_picture in;
    hevc->api->picture_init(hevc->parameters, &in);
    planar(hevc, frame, &in);
    in.sliceType = type == (int)NV_ENC_PIC_TYPE_IDR ? X265_TYPE_IDR
                   : type == (int)NV_ENC_PIC_TYPE_I ? X265_TYPE_I
                                                    : X265_TYPE_AUTO;
    in.pts = hevc->taken++;
    hevc->stamps[in.pts % QUEUE] = *stamp;
    step(hevc, &in, last);
    if (!hevc->in_step && hevc->taken - hevc->begun == b_frames(&hevc->config) + 2) {
        hevc->in_step = true;
        step(hevc, NULL, last);
    }
}

static Packet *encode(void *encoder, const Frame *frame, int type, const Stamp *stamp) {
    Hevc *hevc = encoder;
    Packet *first = NULL;
    Packet **last = &first;
    bool anew = frame && type == (int)NV_ENC_PIC_TYPE_IDR && hevc->taken > hevc->begun && b_frames(&hevc->config);
    if (!frame || anew) {
        drain(hevc, &last);
    }
    if (frame && (hevc->x265 || begin(hevc))) {
        take(hevc, frame, type, stamp, &last);
    }
    return first;
}

static bool reconfigure(void *encoder, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    Hevc *hevc = encoder;
    hevc->config = *config;
    set(hevc->api, hevc->parameters, initialize, config);
    return hevc->api->encoder_reconfig(hevc->x265, hevc->parameters) == 0;
}

const Codec codec_hevc = {"hevc", open_hevc, headers, encode, reconfigure, close_hevc};
