/* The version numbers of structs, by the API that a caller announced.
 *
 * A struct's version is api | number << 16 | 7 << 28, with bit 31 for structs whose layout depends on the API;
 * api is major | minor << 24 (nvEncodeAPI.h). */
#ifndef NVDRIVER_VERSION_H
#define NVDRIVER_VERSION_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"

typedef enum {
    V_FUNCTION_LIST,
    V_OPEN,
    V_CAPS,
    V_PRESET,
    V_CONFIG,
    V_INITIALIZE,
    V_RECONFIGURE,
    V_PICTURE,
    V_LOCK_BITSTREAM,
    V_LOCK_INPUT,
    V_CREATE_INPUT,
    V_CREATE_BITSTREAM,
    V_REGISTER,
    V_MAP,
    V_SEQUENCE,
    V_STRUCTS
} Struct;

/* The newest API of this driver, as major << 4 | minor (NvEncodeAPIGetMaxSupportedVersion). */
uint32_t version_supported(void);

/* Whether the driver knows the API that a caller announced, as major | minor << 24. */
bool version_known(uint32_t api);

/* Whether `version` is the one that a caller of `api` must give for the struct; a violation otherwise. */
bool version_right(Line *line, uint32_t api, Struct which, uint32_t version);

#endif
