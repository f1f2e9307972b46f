/* The level, and the most bits a second. Where the caller leaves the level to the driver, it is the least that takes the
 * size, the pictures a second and the rate asked for. Where no rate is asked for, that of the level is the most, even at
 * constant quality: in the tier asked for when the level is given, else in the main one. Users of real cards report all
 * of it (HandBrake's issues 2873 and 6019), and that a level takes 96 % of its rate (NVEnc's issue 206). */
#include "session.h"

#include "av1.h"
#include "guid.h"

typedef struct {
    uint32_t number; /* as the API has it */
    uint64_t samples;
    uint64_t samples_per_second;
    uint32_t main_kbits;
    uint32_t high_kbits; /* 0: there is no such tier */
} Level;

/* H.264, table A-1, in samples of whole macroblocks, for the profile High; H.265, tables A.8 and A.9; AV1, A.3. */
static const Level h264_levels[] = {
    {10, 99 * 256, 1485 * 256, 80, 0},           {11, 396 * 256, 3000 * 256, 240, 0},
    {12, 396 * 256, 6000 * 256, 480, 0},         {13, 396 * 256, 11880 * 256, 960, 0},
    {20, 396 * 256, 11880 * 256, 2500, 0},       {21, 792 * 256, 19800 * 256, 5000, 0},
    {22, 1620 * 256, 20250 * 256, 5000, 0},      {30, 1620 * 256, 40500 * 256, 12500, 0},
    {31, 3600 * 256, 108000 * 256, 17500, 0},    {32, 5120 * 256, 216000 * 256, 25000, 0},
    {40, 8192 * 256, 245760 * 256, 25000, 0},    {41, 8192 * 256, 245760 * 256, 62500, 0},
    {42, 8704 * 256, 522240 * 256, 62500, 0},    {50, 22080 * 256, 589824 * 256, 168750, 0},
    {51, 36864 * 256, 983040 * 256, 300000, 0},  {52, 36864 * 256, 2073600 * 256, 300000, 0},
    {60, 139264 * 256, 4177920 * 256L, 300000, 0}, {61, 139264 * 256, 8355840 * 256L, 600000, 0},
    {62, 139264 * 256, 16711680 * 256L, 1000000, 0},
};
static const Level hevc_levels[] = {
    {30, 36864, 552960, 128, 0},
    {60, 122880, 3686400, 1500, 0},
    {63, 245760, 7372800, 3000, 0},
    {90, 552960, 16588800, 6000, 0},
    {93, 983040, 33177600, 10000, 0},
    {120, 2228224, 66846720, 12000, 30000},
    {123, 2228224, 133693440, 20000, 50000},
    {150, 8912896, 267386880, 25000, 100000},
    {153, 8912896, 534773760, 40000, 160000},
    {156, 8912896, 1069547520, 60000, 240000},
    {180, 35651584, 1069547520, 60000, 240000},
    {183, 35651584, 2139095040, 120000, 480000},
    {186, 35651584, 4278190080, 240000, 800000},
};
static const Level av1_levels[] = {
    {0, 147456, 4423680, 1500, 0},
    {1, 278784, 8363520, 3000, 0},
    {4, 665856, 19975680, 6000, 0},
    {5, 1065024, 31950720, 10000, 0},
    {8, 2359296, 70778880, 12000, 30000},
    {9, 2359296, 141557760, 20000, 50000},
    {12, 8912896, 267386880, 30000, 100000},
    {13, 8912896, 534773760, 40000, 160000},
    {14, 8912896, 1069547520, 60000, 240000},
    {16, 35651584, 1069547520, 60000, 240000},
    {17, 35651584, 2139095040, 100000, 480000},
    {18, 35651584, 4278190080, 160000, 800000},
};

typedef struct {
    const Level *first;
    const Level *end;
    uint32_t *number; /* in the config of the session */
    uint32_t *tier;
    uint32_t automatic;
    uint32_t block; /* sides are counted in whole blocks */
} Rules;

static Rules rules_of(GUID codec, NV_ENC_CONFIG *config) {
    static uint32_t none;
    NV_ENC_CONFIG_HEVC *hevc = &config->encodeCodecConfig.hevcConfig;
    if (guid_same(codec, guid_av1)) {
        ConfigAv1 *av1 = config_av1_of(config);
        return (Rules){av1_levels, av1_levels + sizeof av1_levels / sizeof(Level), &av1->level, &av1->tier,
                       AV1_LEVEL_AUTO, 1};
    }
    if (guid_same(codec, NV_ENC_CODEC_HEVC_GUID)) {
        return (Rules){hevc_levels, hevc_levels + sizeof hevc_levels / sizeof(Level), &hevc->level, &hevc->tier,
                       NV_ENC_LEVEL_AUTOSELECT, 1};
    }
    none = 0;
    return (Rules){h264_levels, h264_levels + sizeof h264_levels / sizeof(Level),
                   &config->encodeCodecConfig.h264Config.level, &none, NV_ENC_LEVEL_AUTOSELECT, 16};
}

static uint64_t blocks(uint32_t side, uint32_t block) {
    return (side + block - 1) / block * block;
}

static bool takes(const Level *level, const Rules *rules, const NV_ENC_INITIALIZE_PARAMS *p) {
    uint64_t samples = blocks(p->encodeWidth, rules->block) * blocks(p->encodeHeight, rules->block);
    uint64_t rate = p->frameRateNum ? samples * p->frameRateNum / p->frameRateDen : samples * 30;
    uint64_t side = p->encodeWidth > p->encodeHeight ? p->encodeWidth : p->encodeHeight;
    /* The bound of H.264 and H.265 on a side; AV1 has a looser one. */
    return samples <= level->samples && rate <= level->samples_per_second && side * side <= 8 * level->samples;
}

static uint32_t most_bits(const Level *level, uint32_t tier) {
    return (tier ? level->high_kbits : level->main_kbits) * 1000;
}

static const Level *least(const Rules *rules, const NV_ENC_INITIALIZE_PARAMS *p, uint32_t bits) {
    const Level *level = rules->first;
    while (level < rules->end - 1 &&
           (!takes(level, rules, p) || bits / 960 > (*rules->tier ? level->high_kbits : level->main_kbits))) {
        level++;
    }
    return level;
}

static NVENCSTATUS fixed(Line *line, const Rules *rules, const NV_ENC_INITIALIZE_PARAMS *p, uint32_t *bits) {
    const Level *level = rules->first;
    while (level < rules->end && level->number != *rules->number) {
        level++;
    }
    uint32_t most = level < rules->end ? most_bits(level, *rules->tier) : 0; /* a tier that it has not takes none */
    if (!most || !takes(level, rules, p) || *bits / 960 > most / 1000) {
        line_violation(line, "level %u in tier %u does not take this", *rules->number, *rules->tier);
        return NV_ENC_ERR_INVALID_PARAM;
    }
    *bits = *bits ? *bits : most;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS choose_level(Line *line, const NV_ENC_INITIALIZE_PARAMS *p, NV_ENC_CONFIG *config) {
    NV_ENC_RC_PARAMS *rate = &config->rcParams;
    Rules rules = rules_of(p->encodeGUID, config);
    uint32_t bits = rate->maxBitRate > rate->averageBitRate ? rate->maxBitRate : rate->averageBitRate;
    NVENCSTATUS status = NV_ENC_SUCCESS;
    if (*rules.number != rules.automatic) {
        status = fixed(line, &rules, p, &bits);
    } else {
        *rules.tier = *rules.tier && bits;
        const Level *level = least(&rules, p, bits);
        *rules.tier = *rules.tier && bits > level->main_kbits * 1000; /* the tier that is needed is written */
        *rules.number = level->number;
        bits = bits ? bits : most_bits(level, 0);
    }
    if (rate->rateControlMode == NV_ENC_PARAMS_RC_VBR && rate->targetQuality) {
        rate->maxBitRate = bits;
    }
    line_open(line, "chosen");
    line_number(line, "level", *rules.number);
    line_number(line, "tier", *rules.tier);
    line_number(line, "maxBitRate", rate->maxBitRate);
    line_close(line);
    return status;
}
