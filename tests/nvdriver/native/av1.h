/* The settings of AV1, which came with API 12: newer than the header of Debian, in whose union they lie. */
#ifndef NVDRIVER_AV1_H
#define NVDRIVER_AV1_H

#include <ffnvcodec/nvEncodeAPI.h>

typedef struct {
    uint32_t level; /* seq_level_idx; 24 has the driver choose */
    uint32_t tier;
    uint32_t minPartSize;
    uint32_t maxPartSize;
    uint32_t outputAnnexBFormat : 1;
    uint32_t enableTimingInfo : 1;
    uint32_t enableDecoderModelInfo : 1;
    uint32_t enableFrameIdNumbers : 1;
    uint32_t disableSeqHdr : 1;
    uint32_t repeatSeqHdr : 1;
    uint32_t enableIntraRefresh : 1;
    uint32_t chromaFormatIDC : 2;
    uint32_t otherFlags : 23;
    uint32_t idrPeriod;
    uint32_t intraRefreshPeriod;
    uint32_t intraRefreshCnt;
    uint32_t maxNumRefFramesInDPB;
    uint32_t numTileColumns;
    uint32_t numTileRows;
    uint32_t reserved2;
    uint32_t *tileWidths;
    uint32_t *tileHeights;
    uint32_t maxTemporalLayersMinus1;
    uint32_t colorPrimaries;
    uint32_t transferCharacteristics;
    uint32_t matrixCoefficients;
    uint32_t colorRange;
} ConfigAv1;

enum { AV1_LEVEL_AUTO = 24 };

static inline const ConfigAv1 *config_av1(const NV_ENC_CONFIG *config) {
    return (const ConfigAv1 *)(const void *)&config->encodeCodecConfig;
}

static inline ConfigAv1 *config_av1_of(NV_ENC_CONFIG *config) {
    return (ConfigAv1 *)(void *)&config->encodeCodecConfig;
}

#endif
