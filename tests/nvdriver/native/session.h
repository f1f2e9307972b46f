/* One encoding session: what nvEncOpenEncodeSessionEx hands out. */
#ifndef NVDRIVER_SESSION_H
#define NVDRIVER_SESSION_H

#include <pthread.h>

#include "codec.h"
#include "control.h"
#include "ledger.h"
#include "log.h"
#include "version.h"

typedef enum { FREE, SUBMITTED, READY, LOCKED } BitstreamState;

typedef struct Bitstream {
    struct Bitstream *next; /* the queue of those given to nvEncEncodePicture, oldest first */
    BitstreamState state;
    Packet *packet;
} Bitstream;

typedef struct {
    long id;
    uint32_t api;
    void *context;
    int seat;
    pthread_mutex_t lock; /* a driver serialises the calls of one session */
    bool initialized;
    NV_ENC_INITIALIZE_PARAMS initialize;
    NV_ENC_CONFIG config;
    const Codec *codec;
    void *encoder; /* NULL before initialization and after an end of stream */
    long pictures; /* calls of nvEncEncodePicture with a picture, failed ones too */
    long submitted; /* pictures taken */
    long released;  /* packets that lie in bitstream buffers, or lay there */
    uint32_t since_idr;
    uint32_t since_intra;
    bool force_idr;
    Packet *packets; /* made and not yet in a bitstream buffer, oldest first */
    Bitstream *queue;
} Session;

typedef enum {
    OPENED,
    INITIALIZED,
    RELEASING /* gives something back: done even on a lost device, whose error it then returns all the same */
} Need;

/* Finds and locks the session behind a handle; the status tells why it may not be used. Always followed by
 * session_leave, with what `session` was set to (NULL for no session). */
NVENCSTATUS session_enter(Line *line, void *encoder, Need need, Session **session);

/* Unlocks, writes the line, gives the status back. */
NVENCSTATUS session_leave(Line *line, Session *session, NVENCSTATUS status);

/* The software encoder, opened again after an end of stream; NULL when it refuses. */
void *session_encoder(Session *session);

/* Ends the software encoder and forgets what it still held. */
void session_close_encoder(Session *session);

/* Parameters of a session as nested parameters of a line. */
void line_initialize(Line *line, const NV_ENC_INITIALIZE_PARAMS *initialize);
void line_config(Line *line, const NV_ENC_CONFIG *config, GUID codec);

/* Whether the encoder could do this; says why not. */
NVENCSTATUS capable(Line *line, const NV_ENC_INITIALIZE_PARAMS *initialize, const NV_ENC_CONFIG *config);

/* What the encoder makes of a codec: sizes, and levels by the numbers of the API. */
typedef struct {
    uint32_t least_width, least_height, most;
    int least_level, most_level;
} Limits;

const Limits *limits_of(GUID codec);
int most_b_frames(void);

/* Sets level, tier and highest rate to what the driver goes by; says why it cannot. */
NVENCSTATUS choose_level(Line *line, const NV_ENC_INITIALIZE_PARAMS *initialize, NV_ENC_CONFIG *config);

/* Whether `codecs` of the control file names the codec. */
bool codec_offered(GUID codec);

/* The settings of a preset (nvEncGetEncodePresetConfigEx). */
void preset_config(NV_ENC_CONFIG *config, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning);

/* Buffers and resources, as called by nvEncDestroyEncoder: frees what the caller left. */
void bitstream_drop(void *handle);
void input_drop(void *handle);

/* The bytes behind the handle of an input. */
typedef struct {
    const uint8_t *data;
    NV_ENC_BUFFER_FORMAT format;
    uint32_t width;
    uint32_t height;
    uint32_t pitch;
} Source;

/* Whether the handle is a mapped resource, or an input buffer, and if so whether it may be encoded now. */
bool mapped_source(Line *line, void *handle, Source *source, NVENCSTATUS *status);
bool input_source(Line *line, void *handle, Source *source, NVENCSTATUS *status);

/* The functions of the API, each in the file of its noun. */
NVENCSTATUS open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *parameters, void **encoder);
NVENCSTATUS initialize_encoder(void *encoder, NV_ENC_INITIALIZE_PARAMS *parameters);
NVENCSTATUS reconfigure_encoder(void *encoder, NV_ENC_RECONFIGURE_PARAMS *parameters);
NVENCSTATUS destroy_encoder(void *encoder);
NVENCSTATUS set_streams(void *encoder, NV_ENC_CUSTREAM_PTR in, NV_ENC_CUSTREAM_PTR out);
NVENCSTATUS sequence_params(void *encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD *payload);
const char *last_error(void *encoder);

NVENCSTATUS guid_count(void *encoder, uint32_t *count);
NVENCSTATUS guids(void *encoder, GUID *into, uint32_t room, uint32_t *count);
NVENCSTATUS profile_count(void *encoder, GUID codec, uint32_t *count);
NVENCSTATUS profiles(void *encoder, GUID codec, GUID *into, uint32_t room, uint32_t *count);
NVENCSTATUS preset_count(void *encoder, GUID codec, uint32_t *count);
NVENCSTATUS presets(void *encoder, GUID codec, GUID *into, uint32_t room, uint32_t *count);
NVENCSTATUS format_count(void *encoder, GUID codec, uint32_t *count);
NVENCSTATUS formats(void *encoder, GUID codec, NV_ENC_BUFFER_FORMAT *into, uint32_t room, uint32_t *count);
NVENCSTATUS caps(void *encoder, GUID codec, NV_ENC_CAPS_PARAM *parameters, int *value);
NVENCSTATUS preset_config_old(void *encoder, GUID codec, GUID preset, NV_ENC_PRESET_CONFIG *into);
NVENCSTATUS preset_config_ex(void *encoder, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning,
                             NV_ENC_PRESET_CONFIG *into);

NVENCSTATUS encode_picture(void *encoder, NV_ENC_PIC_PARAMS *parameters);

NVENCSTATUS create_bitstream(void *encoder, NV_ENC_CREATE_BITSTREAM_BUFFER *parameters);
NVENCSTATUS destroy_bitstream(void *encoder, NV_ENC_OUTPUT_PTR handle);
NVENCSTATUS lock_bitstream(void *encoder, NV_ENC_LOCK_BITSTREAM *parameters);
NVENCSTATUS unlock_bitstream(void *encoder, NV_ENC_OUTPUT_PTR handle);

NVENCSTATUS register_resource(void *encoder, NV_ENC_REGISTER_RESOURCE *parameters);
NVENCSTATUS unregister_resource(void *encoder, NV_ENC_REGISTERED_PTR handle);
NVENCSTATUS map_resource(void *encoder, NV_ENC_MAP_INPUT_RESOURCE *parameters);
NVENCSTATUS unmap_resource(void *encoder, NV_ENC_INPUT_PTR handle);

NVENCSTATUS create_input(void *encoder, NV_ENC_CREATE_INPUT_BUFFER *parameters);
NVENCSTATUS destroy_input(void *encoder, NV_ENC_INPUT_PTR handle);
NVENCSTATUS lock_input(void *encoder, NV_ENC_LOCK_INPUT_BUFFER *parameters);
NVENCSTATUS unlock_input(void *encoder, NV_ENC_INPUT_PTR handle);

#endif
