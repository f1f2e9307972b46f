/* AV1 over libaom: the parameters of NVENC in those of libaom, as near as they go.
 *
 * Each packet is a temporal unit: one picture that is shown, and before it those that are decoded early and shown later.
 * So packets come in the order of display, B-frames or not. libaom makes such pictures when it may look ahead; it takes a
 * demand for a key frame twice then, so each IDR picture begins with an encoder of its own. */
#include "av1.h"
#include "codec.h"

#include <stdlib.h>
#include <string.h>

#include <aom/aom_encoder.h>
#include <aom/aomcx.h>

enum { QUEUE = 128, SEQUENCE_HEADER = 1, FASTEST_AHEAD = 6, FASTEST = 10, PYRAMID = 2 };

typedef struct {
    aom_codec_ctx_t aom;
    bool open;
    NV_ENC_INITIALIZE_PARAMS initialize;
    NV_ENC_CONFIG config;
    int64_t taken;
    aom_image_t *image; /* the picture as I420, which is all that libaom takes */
    Stamp stamps[QUEUE];
} Av1;

/* Larger pictures go without B-frames: with them libaom takes ten times as long. */
static int b_frames(const Av1 *av1) {
    enum { MOST_SAMPLES = 256 * 144 };
    bool small = av1->initialize.encodeWidth * av1->initialize.encodeHeight <= MOST_SAMPLES;
    return small && av1->config.frameIntervalP > 1 ? av1->config.frameIntervalP - 1 : 0;
}

static void set_rate(aom_codec_enc_cfg_t *p, const NV_ENC_RC_PARAMS *rate) {
    static const uint32_t default_bits = 5000000;
    uint32_t bits = rate->averageBitRate ? rate->averageBitRate : default_bits;
    bool by_quality = rate->rateControlMode == NV_ENC_PARAMS_RC_VBR && rate->targetQuality;
    if (rate->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP) {
        p->rc_end_usage = AOM_Q;
    } else if (by_quality) {
        p->rc_end_usage = rate->maxBitRate ? AOM_CQ : AOM_Q;
        bits = rate->maxBitRate;
    } else {
        p->rc_end_usage = rate->rateControlMode == NV_ENC_PARAMS_RC_CBR ? AOM_CBR : AOM_VBR;
    }
    p->rc_target_bitrate = bits / 1000;
}

static aom_codec_enc_cfg_t settings(const Av1 *av1) {
    aom_codec_enc_cfg_t p;
    int between = b_frames(av1);
    aom_codec_enc_config_default(aom_codec_av1_cx(), &p, between ? AOM_USAGE_GOOD_QUALITY : AOM_USAGE_REALTIME);
    p.g_w = av1->initialize.encodeWidth;
    p.g_h = av1->initialize.encodeHeight;
    p.g_threads = 1;
    p.g_timebase.num = av1->initialize.frameRateNum ? (int)av1->initialize.frameRateDen : 1;
    p.g_timebase.den = av1->initialize.frameRateNum ? (int)av1->initialize.frameRateNum : 30;
    /* Callers have buffers for the B-frames, the next P and three pictures more. */
    p.g_lag_in_frames = between ? (unsigned)between + 4 : 0;
    p.kf_mode = AOM_KF_DISABLED; /* the session says which pictures are IDR */
    set_rate(&p, &av1->config.rcParams);
    return p;
}

static void set_tools(Av1 *av1) {
    const ConfigAv1 *config = config_av1(&av1->config);
    const NV_ENC_RC_PARAMS *rate = &av1->config.rcParams;
    int between = b_frames(av1);
    uint32_t quality =
        rate->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP ? rate->constQP.qpInterP / 4 : rate->targetQuality;
    aom_codec_control(&av1->aom, AOME_SET_CPUUSED, between ? FASTEST_AHEAD : FASTEST);
    aom_codec_control(&av1->aom, AOME_SET_CQ_LEVEL, quality > 63 ? 63 : quality);
    aom_codec_control(&av1->aom, AV1E_SET_TIER_MASK, config->tier);
    if (between) {
        aom_codec_control(&av1->aom, AV1E_SET_GF_MIN_PYRAMID_HEIGHT, 1);
        aom_codec_control(&av1->aom, AV1E_SET_GF_MAX_PYRAMID_HEIGHT, PYRAMID);
        aom_codec_control(&av1->aom, AV1E_SET_MIN_GF_INTERVAL, between + 2);
        aom_codec_control(&av1->aom, AV1E_SET_MAX_GF_INTERVAL, between + 2);
    }
    if (config->colorPrimaries) {
        aom_codec_control(&av1->aom, AV1E_SET_COLOR_PRIMARIES, config->colorPrimaries);
        aom_codec_control(&av1->aom, AV1E_SET_TRANSFER_CHARACTERISTICS, config->transferCharacteristics);
        aom_codec_control(&av1->aom, AV1E_SET_MATRIX_COEFFICIENTS, config->matrixCoefficients);
        aom_codec_control(&av1->aom, AV1E_SET_COLOR_RANGE, config->colorRange);
    }
}

static bool begin(Av1 *av1) {
    aom_codec_enc_cfg_t p = settings(av1);
    av1->open = aom_codec_enc_init(&av1->aom, aom_codec_av1_cx(), &p, 0) == AOM_CODEC_OK;
    if (av1->open) {
        set_tools(av1);
    }
    return av1->open;
}

static void end(Av1 *av1) {
    if (av1->open) {
        aom_codec_destroy(&av1->aom);
        av1->open = false;
    }
}

static void close_av1(void *encoder) {
    Av1 *av1 = encoder;
    end(av1);
    aom_img_free(av1->image);
    free(av1);
}

static void *open_av1(const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    Av1 *av1 = calloc(1, sizeof *av1);
    av1->initialize = *initialize;
    av1->config = *config;
    av1->image = aom_img_alloc(NULL, AOM_IMG_FMT_I420, initialize->encodeWidth, initialize->encodeHeight, 16);
    if (av1->image == NULL || !begin(av1)) {
        close_av1(av1);
        return NULL;
    }
    return av1;
}

static size_t headers(void *encoder, uint8_t *into, size_t bytes) {
    Av1 *av1 = encoder;
    aom_fixed_buf_t *sequence = aom_codec_get_global_headers(&av1->aom);
    size_t size = sequence ? sequence->sz : 0;
    if (size && size <= bytes) {
        memcpy(into, sequence->buf, size);
    }
    if (sequence) {
        free(sequence->buf);
        free(sequence);
    }
    return size;
}

/* Bytes of the OBU that `data` begins with, all of which have their size in them. */
static size_t obu_bytes(const uint8_t *data) {
    size_t head = data[0] & 4 ? 2 : 1;
    size_t size = 0;
    for (int shift = 0;; shift += 7) {
        uint8_t byte = data[head++];
        size |= (size_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return head + size;
        }
    }
}

static Packet *packed(const Av1 *av1, const aom_codec_cx_pkt_t *made) {
    const ConfigAv1 *config = config_av1(&av1->config);
    const Stamp *stamp = &av1->stamps[made->data.frame.pts % QUEUE];
    bool key = made->data.frame.flags & AOM_FRAME_IS_KEY;
    bool wanted = !config->disableSeqHdr && (config->repeatSeqHdr || made->data.frame.pts == 0 || stamp->headers);
    Packet *packet = packet_of(NULL, made->data.frame.sz, key ? NV_ENC_PIC_TYPE_IDR : NV_ENC_PIC_TYPE_P, stamp);
    const uint8_t *from = made->data.frame.buf;
    packet->bytes = 0;
    for (size_t at = 0, bytes; at < made->data.frame.sz; at += bytes) {
        bytes = obu_bytes(from + at);
        if ((from[at] >> 3 & 15) != SEQUENCE_HEADER || wanted) {
            memcpy(packet->data + packet->bytes, from + at, bytes);
            packet->bytes += bytes;
        }
    }
    return packet;
}

/* Adds what the encoder has ready; returns whether there was anything. */
static bool take(Av1 *av1, Packet ***last) {
    bool any = false;
    aom_codec_iter_t position = NULL;
    for (const aom_codec_cx_pkt_t *made; (made = aom_codec_get_cx_data(&av1->aom, &position)) != NULL;) {
        if (made->kind == AOM_CODEC_CX_FRAME_PKT) {
            **last = packed(av1, made);
            *last = &(**last)->next;
            any = true;
        }
    }
    return any;
}

static void drain(Av1 *av1, Packet ***last) {
    do {
        aom_codec_encode(&av1->aom, NULL, 0, 1, 0);
    } while (take(av1, last));
}

/* Takes the pairs of chroma apart. */
static void planar(Av1 *av1, const Frame *frame) {
    aom_image_t *image = av1->image;
    for (unsigned y = 0; y < image->d_h; y++) {
        memcpy(image->planes[0] + y * (size_t)image->stride[0], frame->luma + y * (size_t)frame->luma_pitch, image->d_w);
    }
    for (unsigned y = 0; y < image->d_h / 2; y++) {
        const uint8_t *pairs = frame->chroma + y * (size_t)frame->chroma_pitch;
        for (unsigned x = 0; x < image->d_w / 2; x++) {
            image->planes[1][y * (size_t)image->stride[1] + x] = pairs[2 * x];
            image->planes[2][y * (size_t)image->stride[2] + x] = pairs[2 * x + 1];
        }
    }
}

static Packet *encode(void *encoder, const Frame *frame, int type, const Stamp *stamp) {
    Av1 *av1 = encoder;
    Packet *first = NULL;
    Packet **last = &first;
    if (!frame) {
        if (av1->open) {
            drain(av1, &last);
            end(av1);
        }
        return first;
    }
    if (type == (int)NV_ENC_PIC_TYPE_IDR && av1->taken > 0) {
        drain(av1, &last);
        end(av1);
        if (!begin(av1)) {
            return first;
        }
    }
    planar(av1, frame);
    av1->stamps[av1->taken % QUEUE] = *stamp;
    aom_codec_encode(&av1->aom, av1->image, av1->taken++, 1, 0);
    take(av1, &last);
    return first;
}

static bool reconfigure(void *encoder, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config) {
    Av1 *av1 = encoder;
    av1->initialize = *initialize;
    av1->config = *config;
    aom_codec_enc_cfg_t p = settings(av1);
    if (aom_codec_enc_config_set(&av1->aom, &p) != AOM_CODEC_OK) {
        return false;
    }
    set_tools(av1);
    return true;
}

const Codec codec_av1 = {"av1", open_av1, headers, encode, reconfigure, close_av1};
