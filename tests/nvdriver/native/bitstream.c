/* Bitstream buffers: made, locked to be read, unlocked, destroyed. */
#include "session.h"

#include <stdlib.h>

static NVENCSTATUS create(Line *line, Session *s, NV_ENC_CREATE_BITSTREAM_BUFFER *p) {
    if (!version_right(line, s->api, V_CREATE_BITSTREAM, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (control_number("out_of_memory", 0)) {
        return NV_ENC_ERR_OUT_OF_MEMORY;
    }
    p->bitstreamBuffer = ledger_handle();
    ledger_add(BITSTREAM, p->bitstreamBuffer, calloc(1, sizeof(Bitstream)), 0, s);
    line_address(line, "buffer", p->bitstreamBuffer);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS create_bitstream(void *encoder, NV_ENC_CREATE_BITSTREAM_BUFFER *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncCreateBitstreamBuffer");
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? create(&line, s, p) : status);
}

void bitstream_drop(void *handle) {
    Bitstream *bitstream = ledger_remove(BITSTREAM, handle);
    if (bitstream) {
        packet_free(bitstream->packet);
        free(bitstream);
    }
}

static void leave_queue(Session *s, const Bitstream *bitstream) {
    for (Bitstream **at = &s->queue; *at; at = &(*at)->next) {
        if (*at == bitstream) {
            *at = bitstream->next;
            return;
        }
    }
}

NVENCSTATUS destroy_bitstream(void *encoder, NV_ENC_OUTPUT_PTR handle) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncDestroyBitstreamBuffer");
    line_address(&line, "buffer", handle);
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    Bitstream *bitstream = ledger_find(BITSTREAM, handle);
    if (s && bitstream == NULL) {
        line_violation(&line, "no such bitstream buffer, or it was destroyed");
        status = NV_ENC_ERR_INVALID_PARAM;
    } else if (s) {
        if (bitstream->state == LOCKED) {
            line_violation(&line, "destroyed while locked");
        }
        leave_queue(s, bitstream);
        bitstream_drop(handle);
    }
    return session_leave(&line, s, status);
}

static NVENCSTATUS lock(Line *line, Session *s, NV_ENC_LOCK_BITSTREAM *p) {
    if (!version_right(line, s->api, V_LOCK_BITSTREAM, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    Bitstream *bitstream = ledger_find(BITSTREAM, p->outputBitstream);
    if (bitstream == NULL || bitstream->state == FREE) {
        line_violation(line, bitstream ? "locked before a picture was encoded into it" : "no such bitstream buffer");
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (bitstream->state == LOCKED) {
        line_violation(line, "locked twice");
        return NV_ENC_ERR_LOCK_BUSY;
    }
    if (bitstream->state == SUBMITTED) {
        if (!p->doNotWait) {
            line_violation(line, "locked while the encoder needs more input for it");
        }
        return NV_ENC_ERR_LOCK_BUSY;
    }
    const Packet *packet = bitstream->packet;
    bitstream->state = LOCKED;
    p->bitstreamBufferPtr = packet->data;
    p->bitstreamSizeInBytes = (uint32_t)packet->bytes;
    p->outputTimeStamp = packet->stamp.timestamp;
    p->outputDuration = packet->stamp.duration;
    p->frameIdx = packet->stamp.index;
    p->pictureType = packet->type;
    p->pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
    p->frameAvgQP = (uint32_t)(packet->quantizer > 0 ? packet->quantizer : 0);
    p->hwEncodeStatus = 2; /* done */
    p->numSlices = 1;
    line_number(line, "bytes", (long long)packet->bytes);
    line_number(line, "outputTimeStamp", (long long)packet->stamp.timestamp);
    line_number(line, "pictureType", packet->type);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS lock_bitstream(void *encoder, NV_ENC_LOCK_BITSTREAM *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncLockBitstream");
    line_address(&line, "buffer", p->outputBitstream);
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? lock(&line, s, p) : status);
}

NVENCSTATUS unlock_bitstream(void *encoder, NV_ENC_OUTPUT_PTR handle) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncUnlockBitstream");
    line_address(&line, "buffer", handle);
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    Bitstream *bitstream = ledger_find(BITSTREAM, handle);
    if (s && (bitstream == NULL || bitstream->state != LOCKED)) {
        line_violation(&line, "unlocked without being locked");
        status = NV_ENC_ERR_INVALID_PARAM;
    } else if (s) {
        packet_free(bitstream->packet);
        bitstream->packet = NULL;
        bitstream->state = FREE;
    }
    return session_leave(&line, s, status);
}
