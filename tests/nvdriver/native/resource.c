/* Device memory of the caller as input: registered once, mapped for each use. */
#include "session.h"

#include <stdlib.h>

typedef struct {
    NV_ENC_REGISTER_RESOURCE given;
    void *mapped; /* the handle of its mapping; NULL when it is not mapped */
} Registered;

static NVENCSTATUS acceptable(Line *line, const Session *s, const NV_ENC_REGISTER_RESOURCE *p) {
    if (!version_right(line, s->api, V_REGISTER, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    if (p->resourceType != NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR || !format_known(p->bufferFormat)) {
        line_violation(line, "the stand-in takes device pointers of 4:2:0 or RGB, not type %d of format 0x%x",
                       (int)p->resourceType, p->bufferFormat);
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    if (p->pitch < format_row_bytes(p->bufferFormat, p->width)) {
        line_violation(line, "a pitch of %u for rows of %zu bytes", p->pitch,
                       format_row_bytes(p->bufferFormat, p->width));
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (!ledger_holds((uintptr_t)p->resourceToRegister, format_bytes(p->bufferFormat, p->pitch, p->height))) {
        line_violation(line, "no device memory of %zu bytes there", format_bytes(p->bufferFormat, p->pitch, p->height));
        return NV_ENC_ERR_RESOURCE_REGISTER_FAILED;
    }
    return NV_ENC_SUCCESS;
}

NVENCSTATUS register_resource(void *encoder, NV_ENC_REGISTER_RESOURCE *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncRegisterResource");
    line_address(&line, "resource", p->resourceToRegister);
    line_number(&line, "width", p->width);
    line_number(&line, "height", p->height);
    line_number(&line, "pitch", p->pitch);
    line_number(&line, "bufferFormat", p->bufferFormat);
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    if (status == NV_ENC_SUCCESS) {
        status = acceptable(&line, s, p);
    }
    if (status == NV_ENC_SUCCESS) {
        Registered *registered = calloc(1, sizeof *registered);
        registered->given = *p;
        p->registeredResource = ledger_handle();
        ledger_add(REGISTERED, p->registeredResource, registered, 0, s);
        line_address(&line, "registered", p->registeredResource);
    }
    return session_leave(&line, s, status);
}

NVENCSTATUS unregister_resource(void *encoder, NV_ENC_REGISTERED_PTR handle) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncUnregisterResource");
    line_address(&line, "registered", handle);
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    Registered *registered = ledger_find(REGISTERED, handle);
    if (s && registered == NULL) {
        line_violation(&line, "not registered");
        status = NV_ENC_ERR_RESOURCE_NOT_REGISTERED;
    } else if (s) {
        if (registered->mapped) {
            line_violation(&line, "unregistered while mapped");
            ledger_remove(MAPPED, registered->mapped);
        }
        free(ledger_remove(REGISTERED, handle));
    }
    return session_leave(&line, s, status);
}

static NVENCSTATUS map(Line *line, Session *s, NV_ENC_MAP_INPUT_RESOURCE *p) {
    if (!version_right(line, s->api, V_MAP, p->version)) {
        return NV_ENC_ERR_INVALID_VERSION;
    }
    Registered *registered = ledger_find(REGISTERED, p->registeredResource);
    if (registered == NULL) {
        line_violation(line, "not registered");
        return NV_ENC_ERR_RESOURCE_NOT_REGISTERED;
    }
    if (registered->mapped) {
        line_violation(line, "mapped twice");
        return NV_ENC_ERR_MAP_FAILED;
    }
    p->mappedResource = registered->mapped = ledger_handle();
    p->mappedBufferFmt = registered->given.bufferFormat;
    ledger_add(MAPPED, p->mappedResource, registered, 0, s);
    line_address(line, "mapped", p->mappedResource);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS map_resource(void *encoder, NV_ENC_MAP_INPUT_RESOURCE *p) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncMapInputResource");
    line_address(&line, "registered", p->registeredResource);
    NVENCSTATUS status = session_enter(&line, encoder, INITIALIZED, &s);
    return session_leave(&line, s, status == NV_ENC_SUCCESS ? map(&line, s, p) : status);
}

NVENCSTATUS unmap_resource(void *encoder, NV_ENC_INPUT_PTR handle) {
    Line line;
    Session *s;
    line_begin(&line, "nvEncUnmapInputResource");
    line_address(&line, "mapped", handle);
    NVENCSTATUS status = session_enter(&line, encoder, RELEASING, &s);
    Registered *registered = s ? ledger_remove(MAPPED, handle) : NULL;
    if (registered) {
        registered->mapped = NULL;
    } else if (s) {
        line_violation(&line, "not mapped, or unmapped before");
        status = NV_ENC_ERR_RESOURCE_NOT_MAPPED;
    }
    return session_leave(&line, s, status);
}

bool mapped_source(Line *line, void *handle, Source *source, NVENCSTATUS *status) {
    const Registered *registered = ledger_find(MAPPED, handle);
    if (registered == NULL) {
        return false;
    }
    const NV_ENC_REGISTER_RESOURCE *p = &registered->given;
    *source = (Source){p->resourceToRegister, p->bufferFormat, p->width, p->height, p->pitch};
    *status = NV_ENC_SUCCESS;
    if (!ledger_holds((uintptr_t)source->data, format_bytes(p->bufferFormat, p->pitch, p->height))) {
        line_violation(line, "the registered memory was freed");
        *status = NV_ENC_ERR_INVALID_PARAM;
    }
    return true;
}
