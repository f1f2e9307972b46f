/* The parameters of a session: written to the log, and held against what the encoder can do. */
#include "session.h"

#include "av1.h"
#include "guid.h"

#include <stdio.h>
#include <string.h>

static void line_quantizers(Line *line, const char *name, NV_ENC_QP qp) {
    line_open(line, name);
    line_number(line, "qpInterP", qp.qpInterP);
    line_number(line, "qpInterB", qp.qpInterB);
    line_number(line, "qpIntra", qp.qpIntra);
    line_close(line);
}

#define FIELD(from, name) line_number(line, #name, (from)->name)

static void line_rate(Line *line, const NV_ENC_RC_PARAMS *rate) {
    line_open(line, "rcParams");
    FIELD(rate, rateControlMode);
    FIELD(rate, averageBitRate);
    FIELD(rate, maxBitRate);
    FIELD(rate, vbvBufferSize);
    FIELD(rate, vbvInitialDelay);
    FIELD(rate, targetQuality);
    FIELD(rate, targetQualityLSB);
    FIELD(rate, enableLookahead);
    FIELD(rate, lookaheadDepth);
    FIELD(rate, enableAQ);
    FIELD(rate, aqStrength);
    FIELD(rate, enableTemporalAQ);
    FIELD(rate, enableMinQP);
    FIELD(rate, enableMaxQP);
    FIELD(rate, enableInitialRCQP);
    FIELD(rate, disableIadapt);
    FIELD(rate, disableBadapt);
    FIELD(rate, zeroReorderDelay);
    FIELD(rate, multiPass);
    FIELD(rate, lowDelayKeyFrameScale);
    line_quantizers(line, "constQP", rate->constQP);
    line_quantizers(line, "minQP", rate->minQP);
    line_quantizers(line, "maxQP", rate->maxQP);
    line_quantizers(line, "initialRCQP", rate->initialRCQP);
    line_close(line);
}

static void line_usability(Line *line, const char *name, const NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui) {
    line_open(line, name);
    FIELD(vui, videoSignalTypePresentFlag);
    FIELD(vui, videoFormat);
    FIELD(vui, videoFullRangeFlag);
    FIELD(vui, colourDescriptionPresentFlag);
    FIELD(vui, colourPrimaries);
    FIELD(vui, transferCharacteristics);
    FIELD(vui, colourMatrix);
    FIELD(vui, bitstreamRestrictionFlag);
    line_number(line, "timingInfoPresentFlag", vui->reserved[0]); /* so named from API 12 */
    line_number(line, "numUnitInTicks", vui->reserved[1]);
    line_number(line, "timeScale", vui->reserved[2]);
    line_close(line);
}

static void line_h264(Line *line, const NV_ENC_CONFIG_H264 *h264) {
    line_open(line, "h264Config");
    FIELD(h264, idrPeriod);
    FIELD(h264, repeatSPSPPS);
    FIELD(h264, disableSPSPPS);
    FIELD(h264, outputAUD);
    FIELD(h264, outputBufferingPeriodSEI);
    FIELD(h264, outputPictureTimingSEI);
    FIELD(h264, enableFillerDataInsertion);
    FIELD(h264, enableIntraRefresh);
    FIELD(h264, level);
    FIELD(h264, spsId);
    FIELD(h264, ppsId);
    FIELD(h264, entropyCodingMode);
    FIELD(h264, adaptiveTransformMode);
    FIELD(h264, disableDeblockingFilterIDC);
    FIELD(h264, maxNumRefFrames);
    FIELD(h264, sliceMode);
    FIELD(h264, sliceModeData);
    FIELD(h264, chromaFormatIDC);
    FIELD(h264, useBFramesAsRef);
    FIELD(h264, numRefL0);
    FIELD(h264, numRefL1);
    line_usability(line, "h264VUIParameters", &h264->h264VUIParameters);
    line_close(line);
}

static void line_hevc(Line *line, const NV_ENC_CONFIG_HEVC *hevc) {
    line_open(line, "hevcConfig");
    FIELD(hevc, idrPeriod);
    FIELD(hevc, repeatSPSPPS);
    FIELD(hevc, disableSPSPPS);
    FIELD(hevc, outputAUD);
    FIELD(hevc, level);
    FIELD(hevc, tier);
    FIELD(hevc, spsId);
    FIELD(hevc, ppsId);
    FIELD(hevc, chromaFormatIDC);
    FIELD(hevc, pixelBitDepthMinus8);
    FIELD(hevc, useBFramesAsRef);
    FIELD(hevc, maxNumRefFramesInDPB);
    line_usability(line, "hevcVUIParameters", &hevc->hevcVUIParameters);
    line_close(line);
}

static void line_av1(Line *line, const ConfigAv1 *av1) {
    line_open(line, "av1Config");
    FIELD(av1, level);
    FIELD(av1, tier);
    FIELD(av1, outputAnnexBFormat);
    FIELD(av1, enableTimingInfo);
    FIELD(av1, disableSeqHdr);
    FIELD(av1, repeatSeqHdr);
    FIELD(av1, chromaFormatIDC);
    FIELD(av1, idrPeriod);
    FIELD(av1, maxNumRefFramesInDPB);
    FIELD(av1, colorPrimaries);
    FIELD(av1, transferCharacteristics);
    FIELD(av1, matrixCoefficients);
    FIELD(av1, colorRange);
    line_close(line);
}

void line_initialize(Line *line, const NV_ENC_INITIALIZE_PARAMS *p) {
    line_text(line, "encodeGUID", guid_name(p->encodeGUID));
    line_text(line, "presetGUID", guid_name(p->presetGUID));
    FIELD(p, tuningInfo);
    FIELD(p, encodeWidth);
    FIELD(p, encodeHeight);
    FIELD(p, darWidth);
    FIELD(p, darHeight);
    FIELD(p, frameRateNum);
    FIELD(p, frameRateDen);
    FIELD(p, enableEncodeAsync);
    FIELD(p, enablePTD);
    FIELD(p, enableWeightedPrediction);
    FIELD(p, maxEncodeWidth);
    FIELD(p, maxEncodeHeight);
}

void line_config(Line *line, const NV_ENC_CONFIG *config, GUID codec) {
    line_text(line, "profileGUID", guid_name(config->profileGUID));
    FIELD(config, gopLength);
    FIELD(config, frameIntervalP);
    FIELD(config, frameFieldMode);
    line_rate(line, &config->rcParams);
    line_open(line, "encodeCodecConfig");
    if (guid_same(codec, NV_ENC_CODEC_HEVC_GUID)) {
        line_hevc(line, &config->encodeCodecConfig.hevcConfig);
    } else if (guid_same(codec, guid_av1)) {
        line_av1(line, config_av1(config));
    } else {
        line_h264(line, &config->encodeCodecConfig.h264Config);
    }
    line_close(line);
}

enum { MOST_LOOKAHEAD = 31 };

static NVENCSTATUS size_fits(Line *line, const NV_ENC_INITIALIZE_PARAMS *p, const Limits *limits) {
    if (p->encodeWidth < limits->least_width || p->encodeHeight < limits->least_height ||
        p->encodeWidth > limits->most || p->encodeHeight > limits->most) {
        line_violation(line, "%ux%u lies outside %ux%u to %ux%u", p->encodeWidth, p->encodeHeight, limits->least_width,
                       limits->least_height, limits->most, limits->most);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (p->encodeWidth % 2 || p->encodeHeight % 2) {
        line_violation(line, "%ux%u is odd", p->encodeWidth, p->encodeHeight);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    return NV_ENC_SUCCESS;
}

NVENCSTATUS capable(Line *line, const NV_ENC_INITIALIZE_PARAMS *p, const NV_ENC_CONFIG *config) {
    int b_frames = config->frameIntervalP - 1;
    if (!codec_offered(p->encodeGUID)) {
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    if (guid_preset(p->presetGUID) == 0) {
        line_violation(line, "no preset from P1 to P7");
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    if (p->enableEncodeAsync) {
        line_violation(line, "asynchronous encoding exists on Windows only");
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    if (!p->enablePTD) {
        line_violation(line, "the stand-in leaves no choice of picture types to the caller");
        return NV_ENC_ERR_UNSUPPORTED_PARAM;
    }
    if (p->frameRateNum && !p->frameRateDen) {
        line_violation(line, "a frame rate of %u/0", p->frameRateNum);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (b_frames > most_b_frames()) {
        line_violation(line, "%d B-frames; the encoder makes at most %d", b_frames, most_b_frames());
        return NV_ENC_ERR_INVALID_PARAM;
    }
    if (config->rcParams.enableLookahead && config->rcParams.lookaheadDepth + b_frames > MOST_LOOKAHEAD) {
        line_violation(line, "a lookahead of %u with %d B-frames; together at most %d", config->rcParams.lookaheadDepth,
                       b_frames, MOST_LOOKAHEAD);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    return size_fits(line, p, limits_of(p->encodeGUID));
}
