/* Pictures in memory: what a buffer format means in bytes. */
#ifndef NVDRIVER_FRAME_H
#define NVDRIVER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ffnvcodec/nvEncodeAPI.h>

typedef struct {
    const uint8_t *luma;
    const uint8_t *chroma;
    int luma_pitch;
    int chroma_pitch;
    int bytes_per_sample;
    uint8_t *owned; /* memory of a converted picture; NULL when the planes are the caller's */
} Frame;

bool format_known(NV_ENC_BUFFER_FORMAT format);

/* Bytes of one row of luma or of packed pixels. */
size_t format_row_bytes(NV_ENC_BUFFER_FORMAT format, size_t width);

/* Bytes of a whole buffer of that pitch and height. */
size_t format_bytes(NV_ENC_BUFFER_FORMAT format, size_t pitch, size_t height);

/* A view of a buffer as NV12 (or P010), converted where it is something else. `rows` is the height of the buffer,
 * after which its chroma begins. */
Frame frame_of(const uint8_t *data, NV_ENC_BUFFER_FORMAT format, size_t pitch, size_t rows, size_t width,
               size_t height);

void frame_free(Frame *frame);

#endif
