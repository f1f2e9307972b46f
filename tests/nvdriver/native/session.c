/* Sessions: opened, initialized, reconfigured, destroyed. */
#include "session.h"

#include "guid.h"
#include "seat.h"

#include <stdlib.h>
#include <string.h>

static long last_id;

/* Statuses are those that nvEncodeAPI.h documents for the call, or that users of real cards report. */

NVENCSTATUS session_enter(Line *line, void *encoder, Need need, Session **session) {
    Session *found = *session = ledger_find(SESSION, encoder);
    if (found == NULL) {
        line_violation(line, "no such session, or it was destroyed");
        return NV_ENC_ERR_INVALID_ENCODERDEVICE;
    }
    pthread_mutex_lock(&found->lock);
    if (ledger_find(SESSION, encoder) == NULL) { /* another thread destroyed it meanwhile */
        pthread_mutex_unlock(&found->lock);
        *session = NULL;
        line_violation(line, "the session was destroyed while this call waited for it");
        return NV_ENC_ERR_INVALID_ENCODERDEVICE;
    }
    if (need != RELEASING && control_number("device_lost", 0)) {
        return NV_ENC_ERR_DEVICE_NOT_EXIST;
    }
    if (need == INITIALIZED && !found->initialized) {
        line_violation(line, "called before nvEncInitializeEncoder");
        return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    }
    return NV_ENC_SUCCESS;
}

NVENCSTATUS session_leave(Line *line, Session *session, NVENCSTATUS status) {
    long id = session ? session->id : 0;
    if (session) {
        pthread_mutex_unlock(&session->lock);
    }
    if (status == NV_ENC_SUCCESS && control_number("device_lost", 0)) {
        status = NV_ENC_ERR_DEVICE_NOT_EXIST;
    }
    return (NVENCSTATUS)line_end(line, id, (int)status);
}

static NVENCSTATUS may_open(Line *line, const NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *p) {
    char codecs[64];
    if (!version_known(p->apiVersion)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (!version_right(line, p->apiVersion, V_OPEN, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (control_number("device_lost", 0)) {
        return NV_ENC_ERR_DEVICE_NOT_EXIST;
    }
    if (p->deviceType != NV_ENC_DEVICE_TYPE_CUDA) {
        line_violation(line, "the stand-in has devices of CUDA only");
        return NV_ENC_ERR_UNSUPPORTED_DEVICE;
    }
    if (!ledger_find(CONTEXT, p->device)) {
        line_violation(line, "the device is no live CUDA context");
        return NV_ENC_ERR_INVALID_DEVICE;
    }
    /* A chip without an encoder (A100, H100): users report "OpenEncodeSessionEx failed: unsupported device (2)". */
    control_text("codecs", "h264,hevc,av1", codecs, sizeof codecs);
    if (codecs[0] == '\0') {
        return NV_ENC_ERR_UNSUPPORTED_DEVICE;
    }
    return NV_ENC_SUCCESS;
}

NVENCSTATUS open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *p, void **encoder) {
    Line line;
    line_begin(&line, "nvEncOpenEncodeSessionEx");
    line_number(&line, "api_major", p->apiVersion & 0xff);
    line_number(&line, "api_minor", p->apiVersion >> 24);
    line_address(&line, "context", p->device);
    *encoder = NULL;
    NVENCSTATUS status = may_open(&line, p);
    if (status != NV_ENC_SUCCESS) {
        return (NVENCSTATUS)line_end(&line, 0, (int)status);
    }
    long refused = control_number("open_status", 0);
    if (refused) {
        return (NVENCSTATUS)line_end(&line, 0, (int)refused);
    }
    /* GeForce's limit, of all processes together: "out of memory (10)", since 2024 "incompatible client key (21)". */
    int seat = seat_take(control_number("session_limit", 0));
    if (seat < 0) {
        return (NVENCSTATUS)line_end(&line, 0, (int)control_number("session_limit_status", NV_ENC_ERR_OUT_OF_MEMORY));
    }
    /* Never freed: a call that waits while another thread destroys the session must still find its lock. */
    Session *session = calloc(1, sizeof *session);
    session->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    session->api = p->apiVersion;
    session->context = p->device;
    session->seat = seat;
    pthread_mutex_init(&session->lock, NULL);
    *encoder = ledger_handle();
    ledger_add(SESSION, *encoder, session, 0, p->device);
    return (NVENCSTATUS)line_end(&line, session->id, NV_ENC_SUCCESS);
}

static const Codec *codec_of(GUID guid) {
    return guid_same(guid, NV_ENC_CODEC_H264_GUID)   ? &codec_h264
           : guid_same(guid, NV_ENC_CODEC_HEVC_GUID) ? &codec_hevc
           : guid_same(guid, guid_av1)               ? &codec_av1
                                                     : NULL;
}

void *session_encoder(Session *session) {
    if (session->encoder == NULL) {
        session->encoder = session->codec->open(&session->initialize, &session->config);
        session->since_idr = session->since_intra = 0;
        session->submitted = session->released = 0;
        session->force_idr = true;
    }
    return session->encoder;
}

void session_close_encoder(Session *session) {
    if (session->encoder) {
        session->codec->close(session->encoder);
        session->encoder = NULL;
    }
    while (session->packets) {
        Packet *packet = session->packets;
        session->packets = packet->next;
        packet_free(packet);
    }
}

/* Copies what the caller gave; a preset fills in for a config that is NULL, as documented. */
static NVENCSTATUS take(Line *line, Session *s, const NV_ENC_INITIALIZE_PARAMS *p) {
    if (!version_right(line, s->api, V_INITIALIZE, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (p->encodeConfig && !version_right(line, s->api, V_CONFIG, p->encodeConfig->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    NV_ENC_CONFIG config;
    if (p->encodeConfig) {
        config = *p->encodeConfig;
    } else {
        preset_config(&config, p->encodeGUID, p->presetGUID, p->tuningInfo);
    }
    line_initialize(line, p);
    line_config(line, &config, p->encodeGUID);
    NVENCSTATUS status = capable(line, p, &config);
    if (status == NV_ENC_SUCCESS) {
        status = choose_level(line, p, &config);
    }
    if (status == NV_ENC_SUCCESS) {
        s->initialize = *p;
        s->config = config;
        s->initialize.encodeConfig = &s->config;
    }
    return status;
}

static NVENCSTATUS initialize(Line *line, Session *s, const NV_ENC_INITIALIZE_PARAMS *p) {
    if (s->initialized) {
        line_violation(line, "initialized twice");
        return NV_ENC_ERR_INVALID_CALL;
    }
    NVENCSTATUS status = take(line, s, p);
    if (status != NV_ENC_SUCCESS) {
        return status;
    }
    s->codec = codec_of(p->encodeGUID);
    if (s->codec == NULL || session_encoder(s) == NULL) {
        line_violation(line, "the stand-in's encoder refused the parameters");
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    s->initialized = true;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS initialize_encoder(void *encoder, NV_ENC_INITIALIZE_PARAMS *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncInitializeEncoder");
    NVENCSTATUS status = session_enter(&line, encoder, OPENED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? initialize(&line, s, p) : status);
}

static NVENCSTATUS reconfigure(Line *line, Session *s, const NV_ENC_RECONFIGURE_PARAMS *p) {
    const NV_ENC_INITIALIZE_PARAMS *wanted = &p->reInitEncodeParams;
    if (!version_right(line, s->api, V_RECONFIGURE, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (!guid_same(wanted->encodeGUID, s->initialize.encodeGUID) || wanted->encodeWidth != s->initialize.encodeWidth ||
        wanted->encodeHeight != s->initialize.encodeHeight) {
        line_violation(line, "the stand-in changes rates only, not codec or size");
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    if (wanted->encodeConfig && (wanted->encodeConfig->frameIntervalP != s->config.frameIntervalP ||
                                 wanted->encodeConfig->gopLength != s->config.gopLength)) {
        line_violation(line, "the GOP cannot be changed in a session"); /* nvEncReconfigureEncoder documents it */
        return NV_ENC_ERR_INVALID_PARAM;
    }
    NVENCSTATUS status = take(line, s, wanted);
    if (status == NV_ENC_SUCCESS && !s->codec->reconfigure(session_encoder(s), &s->initialize, &s->config)) {
        status = NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    s->force_idr |= p->forceIDR || p->resetEncoder;
    return status;
}

NVENCSTATUS reconfigure_encoder(void *encoder, NV_ENC_RECONFIGURE_PARAMS *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncReconfigureEncoder");
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? reconfigure(&line, s, p) : status);
}

/* A driver frees what is left in a session; a caller that leaves it is recorded. */
static void drop_all(Line *line, const Session *s) {
    size_t left[] = {ledger_owned(MAPPED, s), ledger_owned(REGISTERED, s), ledger_owned(BITSTREAM, s),
                     ledger_owned(INPUT, s)};
    if (left[0] + left[1] + left[2] + left[3]) {
        line_violation(line, "destroyed with %zu mapped, %zu registered, %zu bitstream and %zu input buffers left",
                       left[0], left[1], left[2], left[3]);
    }
    for (void *handle; (handle = ledger_any(MAPPED, s)) != NULL;) {
        ledger_remove(MAPPED, handle);
    }
    for (void *handle; (handle = ledger_any(REGISTERED, s)) != NULL;) {
        free(ledger_remove(REGISTERED, handle));
    }
    for (void *handle; (handle = ledger_any(BITSTREAM, s)) != NULL;) {
        bitstream_drop(handle);
    }
    for (void *handle; (handle = ledger_any(INPUT, s)) != NULL;) {
        input_drop(handle);
    }
}

NVENCSTATUS destroy_encoder(void *encoder) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncDestroyEncoder");
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    if (s) {
        line_number(&line, "pictures", s->pictures);
        session_close_encoder(s);
        drop_all(&line, s);
        ledger_remove(SESSION, encoder);
        seat_leave(s->seat);
    }
    return session_leave(&line, s, status);
}

/* The streams only order work on a card; here everything is done at once. */
NVENCSTATUS set_streams(void *encoder, NV_ENC_CUSTREAM_PTR in, NV_ENC_CUSTREAM_PTR out) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncSetIOCudaStreams");
    line_address(&line, "input", in);
    line_address(&line, "output", out);
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    return session_leave(&line, s, status);
}

static NVENCSTATUS put_headers(Line *line, Session *s, const NV_ENC_SEQUENCE_PARAM_PAYLOAD *payload) {
    if (!version_right(line, s->api, V_SEQUENCE, payload->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    size_t bytes = s->codec->headers(session_encoder(s), payload->spsppsBuffer, payload->inBufferSize);
    *payload->outSPSPPSPayloadSize = (uint32_t)bytes;
    line_number(line, "bytes", (long long)bytes);
    return bytes <= payload->inBufferSize ? NV_ENC_SUCCESS : NV_ENC_ERR_NOT_ENOUGH_BUFFER;
}

NVENCSTATUS sequence_params(void *encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD *payload) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncGetSequenceParams");
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? put_headers(&line, s, payload) : status);
}

const char *last_error(void *encoder) {
    (void)encoder;
    return "(no details)";
}
