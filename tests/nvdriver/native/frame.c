#include "frame.h"

#include <stdlib.h>

bool format_known(NV_ENC_BUFFER_FORMAT format) {
    return format == NV_ENC_BUFFER_FORMAT_NV12 || format == NV_ENC_BUFFER_FORMAT_YV12 ||
           format == NV_ENC_BUFFER_FORMAT_IYUV || format == NV_ENC_BUFFER_FORMAT_YUV420_10BIT ||
           format == NV_ENC_BUFFER_FORMAT_ARGB || format == NV_ENC_BUFFER_FORMAT_ABGR;
}

static bool packed(NV_ENC_BUFFER_FORMAT format) {
    return format == NV_ENC_BUFFER_FORMAT_ARGB || format == NV_ENC_BUFFER_FORMAT_ABGR;
}

size_t format_row_bytes(NV_ENC_BUFFER_FORMAT format, size_t width) {
    return packed(format) ? width * 4 : format == NV_ENC_BUFFER_FORMAT_YUV420_10BIT ? width * 2 : width;
}

size_t format_bytes(NV_ENC_BUFFER_FORMAT format, size_t pitch, size_t height) {
    return packed(format) ? pitch * height : pitch * height + pitch * ((height + 1) / 2);
}

static Frame blank(size_t width, size_t height) {
    Frame frame = {.luma_pitch = (int)width, .chroma_pitch = (int)width, .bytes_per_sample = 1};
    frame.owned = malloc(width * height * 3 / 2);
    frame.luma = frame.owned;
    frame.chroma = frame.owned + width * height;
    return frame;
}

/* NVENC converts RGB by BT.601 in limited range (FFmpeg's nvenc.c marks such streams so). */
static uint8_t luma_of(const uint8_t *rgb[3]) {
    return (uint8_t)(16 + ((66 * *rgb[0] + 129 * *rgb[1] + 25 * *rgb[2] + 128) >> 8));
}

static Frame from_pixels(const uint8_t *data, bool blue_first, size_t pitch, size_t width, size_t height) {
    Frame frame = blank(width, height);
    uint8_t *luma = frame.owned;
    uint8_t *chroma = frame.owned + width * height;
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            /* Formats name words, so the bytes lie the other way round: ARGB is B, G, R, A. */
            const uint8_t *pixel = data + y * pitch + x * 4;
            const uint8_t *rgb[3] = {pixel + (blue_first ? 2 : 0), pixel + 1, pixel + (blue_first ? 0 : 2)};
            luma[y * width + x] = luma_of(rgb);
            if (y % 2 == 0 && x % 2 == 0) {
                uint8_t *pair = chroma + y / 2 * width + x;
                pair[0] = (uint8_t)(128 + ((-38 * *rgb[0] - 74 * *rgb[1] + 112 * *rgb[2] + 128) >> 8));
                pair[1] = (uint8_t)(128 + ((112 * *rgb[0] - 94 * *rgb[1] - 18 * *rgb[2] + 128) >> 8));
            }
        }
    }
    return frame;
}

static Frame from_planes(const uint8_t *data, bool v_first, size_t pitch, size_t rows, size_t width, size_t height) {
    Frame frame = blank(width, height);
    uint8_t *luma = frame.owned;
    uint8_t *chroma = frame.owned + width * height;
    size_t chroma_pitch = (pitch + 1) / 2;
    const uint8_t *first = data + pitch * rows;
    const uint8_t *second = first + chroma_pitch * ((rows + 1) / 2);
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            luma[y * width + x] = data[y * pitch + x];
        }
    }
    for (size_t y = 0; y < height / 2; y++) {
        for (size_t x = 0; x < width / 2; x++) {
            chroma[y * width + 2 * x] = (v_first ? second : first)[y * chroma_pitch + x];
            chroma[y * width + 2 * x + 1] = (v_first ? first : second)[y * chroma_pitch + x];
        }
    }
    return frame;
}

Frame frame_of(const uint8_t *data, NV_ENC_BUFFER_FORMAT format, size_t pitch, size_t rows, size_t width,
               size_t height) {
    if (packed(format)) {
        return from_pixels(data, format == NV_ENC_BUFFER_FORMAT_ARGB, pitch, width, height);
    }
    if (format == NV_ENC_BUFFER_FORMAT_IYUV || format == NV_ENC_BUFFER_FORMAT_YV12) {
        return from_planes(data, format == NV_ENC_BUFFER_FORMAT_YV12, pitch, rows, width, height);
    }
    return (Frame){.luma = data,
                   .chroma = data + pitch * rows,
                   .luma_pitch = (int)pitch,
                   .chroma_pitch = (int)pitch,
                   .bytes_per_sample = format == NV_ENC_BUFFER_FORMAT_YUV420_10BIT ? 2 : 1};
}

void frame_free(Frame *frame) {
    free(frame->owned);
    frame->owned = NULL;
}
