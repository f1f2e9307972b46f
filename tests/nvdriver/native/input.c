/* Input buffers of the encoder itself, which the caller fills under a lock. */
#include "session.h"

#include <stdlib.h>

typedef struct {
    NV_ENC_CREATE_INPUT_BUFFER given;
    uint32_t pitch;
    bool locked;
    uint8_t *data;
} Input;

enum { INPUT_PITCH_BYTES = 256 };

NVENCSTATUS create_input(void *encoder, NV_ENC_CREATE_INPUT_BUFFER *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncCreateInputBuffer");
    line_number(&line, "width", p->width);
    line_number(&line, "height", p->height);
    line_number(&line, "bufferFmt", p->bufferFmt);
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    if (status == NV_ENC_SUCCESS && !version_right(&line, s->api, V_CREATE_INPUT, p->version)) {
        status = NV_ENC_ERR_INVALID_VERSION;
    } else if (status == NV_ENC_SUCCESS && !format_known(p->bufferFmt)) {
        line_violation(&line, "the stand-in takes 4:2:0 and RGB");
        status = NV_ENC_ERR_UNSUPPORTED_PARAM;
    } else if (status == NV_ENC_SUCCESS && control_number("out_of_memory", 0)) {
        status = NV_ENC_ERR_OUT_OF_MEMORY;
    }
    if (status == NV_ENC_SUCCESS) {
        Input *input = calloc(1, sizeof *input);
        size_t row = format_row_bytes(p->bufferFmt, p->width);
        input->given = *p;
        input->pitch = (uint32_t)((row + INPUT_PITCH_BYTES - 1) / INPUT_PITCH_BYTES * INPUT_PITCH_BYTES);
        size_t bytes = format_bytes(p->bufferFmt, input->pitch, p->height);
        input->data = malloc(bytes);
        p->inputBuffer = ledger_handle();
        ledger_add(INPUT, p->inputBuffer, input, bytes, s);
    }
    return session_leave(&line, s, status);
}

void input_drop(void *handle) {
    Input *input = ledger_remove(INPUT, handle);
    if (input) {
        free(input->data);
        free(input);
    }
}

NVENCSTATUS destroy_input(void *encoder, NV_ENC_INPUT_PTR handle) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncDestroyInputBuffer");
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    if (s && !ledger_find(INPUT, handle)) {
        line_violation(&line, "no such input buffer, or it was destroyed");
        status = NV_ENC_ERR_INVALID_PARAM;
    } else if (s) {
        input_drop(handle);
    }
    return session_leave(&line, s, status);
}

NVENCSTATUS lock_input(void *encoder, NV_ENC_LOCK_INPUT_BUFFER *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncLockInputBuffer");
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    Input *input = ledger_find(INPUT, p->inputBuffer);
    if (status == NV_ENC_SUCCESS && !version_right(&line, s->api, V_LOCK_INPUT, p->version)) {
        status = NV_ENC_ERR_INVALID_VERSION;
    } else if (status == NV_ENC_SUCCESS && (input == NULL || input->locked)) {
        line_violation(&line, input ? "locked twice" : "no such input buffer, or it was destroyed");
        status = input ? NV_ENC_ERR_LOCK_BUSY : NV_ENC_ERR_INVALID_PARAM;
    } else if (status == NV_ENC_SUCCESS) {
        input->locked = true;
        p->bufferDataPtr = input->data;
        p->pitch = input->pitch;
    }
    return session_leave(&line, s, status);
}

NVENCSTATUS unlock_input(void *encoder, NV_ENC_INPUT_PTR handle) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncUnlockInputBuffer");
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    Input *input = ledger_find(INPUT, handle);
    if (s && (input == NULL || !input->locked)) {
        line_violation(&line, "unlocked without being locked");
        status = NV_ENC_ERR_INVALID_PARAM;
    } else if (s) {
        input->locked = false;
    }
    return session_leave(&line, s, status);
}

bool input_source(Line *line, void *handle, Source *source, NVENCSTATUS *status) {
    const Input *input = ledger_find(INPUT, handle);
    if (input == NULL) {
        return false;
    }
    *source = (Source){input->data, input->given.bufferFmt, input->given.width, input->given.height, input->pitch};
    *status = NV_ENC_SUCCESS;
    if (input->locked) {
        line_violation(line, "encoded from an input buffer that is still locked");
        *status = NV_ENC_ERR_LOCK_BUSY;
    }
    return true;
}
