/* GUIDs and their names. */
#ifndef NVDRIVER_GUID_H
#define NVDRIVER_GUID_H

#include <stdbool.h>

#include <ffnvcodec/nvEncodeAPI.h>

/* Newer than the header of Debian; from NVIDIA's documentation of NVENC. */
extern const GUID guid_av1;
extern const GUID guid_av1_main; /* a profile */

bool guid_same(GUID one, GUID other);

/* A short name such as "h264", "P4" or "high"; "unknown" for a GUID that is none of ours. */
const char *guid_name(GUID guid);

/* "P4" is 4; 0 for a GUID that is no preset. */
int guid_preset(GUID guid);

#endif
