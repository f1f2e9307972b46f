/* What stands in for the encoding hardware: a software encoder behind one interface. */
#ifndef NVDRIVER_CODEC_H
#define NVDRIVER_CODEC_H

#include <ffnvcodec/nvEncodeAPI.h>

#include "frame.h"

/* What a caller gave with a picture and gets back with its packet. */
typedef struct {
    uint64_t timestamp;
    uint64_t duration;
    uint32_t index;
    bool headers; /* write parameter sets before this picture, whatever it is */
} Stamp;

typedef struct Packet {
    struct Packet *next;
    uint8_t *data;
    size_t bytes;
    NV_ENC_PIC_TYPE type;
    int quantizer;
    Stamp stamp;
} Packet;

typedef struct {
    const char *name;
    /* NULL when the encoder refuses the parameters. */
    void *(*open)(const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config);
    /* Parameter sets in Annex B; gives their size, writes at most `bytes`. */
    size_t (*headers)(void *encoder, uint8_t *into, size_t bytes);
    /* Takes a picture and gives the packets that are ready, linked, or NULL; -1 for `type` lets the encoder choose. NULL
     * for `frame` drains. */
    Packet *(*encode)(void *encoder, const Frame *frame, int type, const Stamp *stamp);
    /* Changes rate control in place; false when the encoder refuses. */
    bool (*reconfigure)(void *encoder, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config);
    void (*close)(void *encoder);
} Codec;

extern const Codec codec_h264;
extern const Codec codec_hevc;
extern const Codec codec_av1;

/* A packet of its own with a copy of `bytes`. */
Packet *packet_of(const uint8_t *data, size_t bytes, NV_ENC_PIC_TYPE type, const Stamp *stamp);
void packet_free(Packet *packet);

#endif
