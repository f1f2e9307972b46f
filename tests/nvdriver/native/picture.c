/* nvEncEncodePicture: pictures in, packets into bitstream buffers in the order in which those were given. */
#include "session.h"

#include "av1.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

Packet *packet_of(const uint8_t *data, size_t bytes, NV_ENC_PIC_TYPE type, const Stamp *stamp) {
    Packet *packet = calloc(1, sizeof *packet);
    packet->data = malloc(bytes);
    packet->bytes = bytes;
    packet->type = type;
    packet->stamp = *stamp;
    if (data) {
        memcpy(packet->data, data, bytes);
    }
    return packet;
}

void packet_free(Packet *packet) {
    if (packet) {
        free(packet->data);
        free(packet);
    }
}

/* Keeps a packet, and those that are linked to it. */
static void keep(Session *s, Packet *packet) {
    Packet **end = &s->packets;
    while (*end) {
        end = &(*end)->next;
    }
    *end = packet;
}

/* Moves packets into the oldest bitstream buffers, at most so many that `held_back` pictures stay in the encoder. */
static int release(Session *s, long held_back) {
    int moved = 0;
    while (s->packets && s->queue && s->released < s->submitted - held_back) {
        Bitstream *bitstream = s->queue;
        s->queue = bitstream->next;
        bitstream->packet = s->packets;
        s->packets = s->packets->next;
        bitstream->packet->next = NULL;
        bitstream->state = READY;
        s->released++;
        moved++;
    }
    return moved;
}

static void submit(Session *s, Bitstream *bitstream) {
    Bitstream **end = &s->queue;
    while (*end) {
        end = &(*end)->next;
    }
    bitstream->state = SUBMITTED;
    bitstream->next = NULL;
    *end = bitstream;
    s->submitted++;
}

static uint32_t idr_period_of(const Session *s) {
    uint32_t period = s->codec == &codec_av1    ? config_av1(&s->config)->idrPeriod
                      : s->codec == &codec_hevc ? s->config.encodeCodecConfig.hevcConfig.idrPeriod
                                                : s->config.encodeCodecConfig.h264Config.idrPeriod;
    return period ? period : s->config.gopLength;
}

/* GOP and IDR period are counted in pictures as given, and begin anew at every intra and IDR picture. */
static int type_of(Session *s, uint32_t flags) {
    uint32_t idr_period = idr_period_of(s);
    bool infinite = idr_period == NVENC_INFINITE_GOPLENGTH || idr_period == 0;
    bool idr = s->force_idr || flags & NV_ENC_PIC_FLAG_FORCEIDR || (!infinite && s->since_idr >= idr_period);
    bool endless = s->config.gopLength == NVENC_INFINITE_GOPLENGTH || s->config.gopLength == 0;
    bool intra = flags & NV_ENC_PIC_FLAG_FORCEINTRA || (!endless && s->since_intra >= s->config.gopLength);
    s->force_idr = false;
    s->since_idr = idr ? 1 : s->since_idr + 1;
    s->since_intra = idr || intra ? 1 : s->since_intra + 1;
    return idr ? (int)NV_ENC_PIC_TYPE_IDR : intra ? (int)NV_ENC_PIC_TYPE_I : -1;
}

/* For measuring what feeds the encoder: an access unit delimiter of H.264 (7.3.2.4), which parses, and no picture. */
static Packet *nothing(int type, const Stamp *stamp) {
    static const uint8_t delimiter[] = {0, 0, 0, 1, 0x09, 0xf0};
    bool key = type == (int)NV_ENC_PIC_TYPE_IDR;
    return packet_of(delimiter, sizeof delimiter, key ? NV_ENC_PIC_TYPE_IDR : NV_ENC_PIC_TYPE_P, stamp);
}

static void wait_for_hardware(void) {
    long milliseconds = control_number("encode_delay_ms", 0);
    if (milliseconds > 0) {
        struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        nanosleep(&time, NULL);
    }
}

static bool fails_now(const Session *s) {
    long at = control_number("encode_fails_at", 0);
    return at > 0 && (s->pictures == at || (s->pictures > at && control_number("encode_fails_always", 0)));
}

static NVENCSTATUS fits(Line *line, const Session *s, const NV_ENC_PIC_PARAMS *p, const Source *source) {
    if (p->pictureStruct != NV_ENC_PIC_STRUCT_FRAME) {
        line_violation(line, "a pictureStruct of %d", (int)p->pictureStruct);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (p->bufferFmt != source->format) {
        line_violation(line, "encoded as format 0x%x, registered as 0x%x", p->bufferFmt, source->format);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (p->inputWidth != s->initialize.encodeWidth || p->inputHeight != s->initialize.encodeHeight ||
        source->width < p->inputWidth || source->height < p->inputHeight) {
        line_violation(line, "a picture of %ux%u in a buffer of %ux%u for a session of %ux%u", p->inputWidth,
                       p->inputHeight, source->width, source->height, s->initialize.encodeWidth,
                       s->initialize.encodeHeight);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    /* "If pitch value is not known, set this to inputWidth" (nvEncodeAPI.h); 0 is what NVIDIA's own samples send. */
    if (p->inputPitch && p->inputPitch != p->inputWidth && p->inputPitch != source->pitch) {
        line_violation(line, "a pitch of %u, registered with %u", p->inputPitch, source->pitch);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    return NV_ENC_SUCCESS;
}

static void run(Session *s, const NV_ENC_PIC_PARAMS *p, const Source *source) {
    Stamp stamp = {p->inputTimeStamp, p->inputDuration, p->frameIdx,
                   (p->encodePicFlags & NV_ENC_PIC_FLAG_OUTPUT_SPSPPS) != 0};
    int type = type_of(s, p->encodePicFlags);
    if (control_number("null_encode", 0)) {
        keep(s, nothing(type, &stamp));
        return;
    }
    Frame frame = frame_of(source->data, source->format, source->pitch, source->height, p->inputWidth, p->inputHeight);
    Packet *packet = s->codec->encode(s->encoder, &frame, type, &stamp);
    frame_free(&frame);
    if (packet) {
        keep(s, packet);
    }
}

/* The status is NV_ENC_ERR_NEED_MORE_INPUT unless this picture freed a packet. The hardware frees all pictures up to
 * a P at once; x264 gives one for each picture given, as many pictures later as there are B-frames in a row. */
static NVENCSTATUS encode(Line *line, Session *s, const NV_ENC_PIC_PARAMS *p) {
    Source source;
    Bitstream *bitstream = ledger_find(BITSTREAM, p->outputBitstream);
    s->pictures++;
    if (s->codec == &codec_h264 && p->codecPicParams.h264PicParams.seiPayloadArrayCnt) {
        line_violation(line, "the stand-in leaves out SEI messages of the caller");
    }
    line_number(line, "frameIdx", p->frameIdx);
    line_number(line, "inputTimeStamp", (long long)p->inputTimeStamp);
    line_number(line, "encodePicFlags", p->encodePicFlags);
    if (bitstream == NULL || bitstream->state != FREE) {
        line_violation(line, bitstream ? "the bitstream buffer still holds or awaits a picture"
                                       : "no such bitstream buffer, or it was destroyed");
        return NV_ENC_ERR_INVALID_PARAM;
    }
    NVENCSTATUS status = NV_ENC_ERR_RESOURCE_NOT_MAPPED;
    if (!mapped_source(line, p->inputBuffer, &source, &status) &&
        !input_source(line, p->inputBuffer, &source, &status)) {
        line_violation(line, "the input is not mapped");
    }
    if (status == NV_ENC_SUCCESS) {
        status = fits(line, s, p, &source);
    }
    if (status != NV_ENC_SUCCESS) {
        return status;
    }
    if (fails_now(s)) {
        return NV_ENC_ERR_GENERIC;
    }
    if (session_encoder(s) == NULL) {
        return NV_ENC_ERR_GENERIC;
    }
    wait_for_hardware();
    submit(s, bitstream);
    run(s, p, &source);
    bool ahead = s->config.rcParams.enableLookahead && !control_number("null_encode", 0);
    return release(s, ahead ? s->config.rcParams.lookaheadDepth : 0) ? NV_ENC_SUCCESS : NV_ENC_ERR_NEED_MORE_INPUT;
}

/* All that is held back comes out. Further pictures begin a new stream with an IDR, as FFmpeg's flush expects. */
static NVENCSTATUS end_stream(Line *line, Session *s) {
    line_text(line, "flag", "EOS");
    if (s->encoder) {
        for (Packet *packet; (packet = s->codec->encode(s->encoder, NULL, -1, NULL)) != NULL;) {
            keep(s, packet);
        }
        release(s, 0);
        session_close_encoder(s);
    }
    return NV_ENC_SUCCESS;
}

NVENCSTATUS encode_picture(void *encoder, NV_ENC_PIC_PARAMS *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncEncodePicture");
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    if (status == NV_ENC_SUCCESS && !version_right(&line, s->api, V_PICTURE, p->version)) {
        status = NV_ENC_ERR_INVALID_VERSION;
    }
    if (status == NV_ENC_SUCCESS) {
        status = p->encodePicFlags & NV_ENC_PIC_FLAG_EOS ? end_stream(&line, s) : encode(&line, s, p);
    }
    return session_leave(&line, s, status);
}
