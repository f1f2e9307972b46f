"""NVIDIA's driver: its version, its cards, and what its errors mean for people. Through ctypes, as the driver is
queried before anything may be imported that needs it.

Sources: CUDA driver API (cuInit, cuDeviceGet…); nvEncodeAPI.h (NvEncodeAPIGetMaxSupportedVersion, NVENCSTATUS).
"""

import ctypes
import re
from pathlib import Path

CUDA, ENCODE = "libcuda.so.1", "libnvidia-encode.so.1"
NEEDED_API = (12, 1)
NAME_BYTES = 256

NO_DRIVER = (
    f"no NVIDIA driver is here ({CUDA} is not found); install one of version 530 or newer, or start the container with "
    "NVIDIA's runtime (--gpus all)"
)
NO_VIDEO = (
    f"the driver is here, but not its encoder ({ENCODE} is not found); in a container set "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
)
TOO_OLD = "the driver is too old: it has NVENC {}.{}, and 12.1 is needed; update it to version 530 or newer"
NO_CARD = "the driver finds no card (CUDA error {}); {}"
NONE_COUNTED = "the driver finds no card (it counts none); give this machine or container a GPU"
NO_FORMAT = "this card cannot make {}; it makes {}"
NO_B_FRAMES = "this card makes {} with at most {} B-frames between two others; set NVENC_B_FRAMES={}"
NO_LOOKAHEAD = "this card does not look ahead; set NVENC_LOOKAHEAD=0"
FULL = "all sessions of the card are taken; end other programs that encode, or have the encoder do less at once"
NO_ENCODER = (
    "this chip has no encoder, as A100 and H100 have none, or the container holds one card of several and the driver "
    "looks for another; take a card with NVENC, or give the container all cards and choose one by CUDA_VISIBLE_DEVICES"
)
OUT_OF_MEMORY = (
    "the card's memory is full; have the encoder do less at once (BATCH_SIZE), or end other programs that use the card"
)
LOST = "the card or its driver is lost; see the encoder's log and dmesg, and restart the machine if it stays so"
NOT_ENCODED = "the card could not encode a frame; see the encoder's log"
UNKNOWN = "the card, its driver or PyNvVideoCodec failed; see the encoder's log"
NOT_VALID = "the card is none that the driver can use; see that the container has it, and restart the encoder"
MISUSED = (
    "PyNvVideoCodec asked the driver for what it does not take; update both, and report it with the encoder's log if "
    "it stays so"
)
SETTINGS = (
    "the card does not take these settings; set NVENC_B_FRAMES=0, NVENC_LOOKAHEAD=0 and a higher NVENC_CQ, or another "
    "NVENC_FORMAT"
)
OVERLOADED = "the card is busy; have the encoder do less at once (BATCH_SIZE), or end other programs that use the card"
OLD = "the driver is older than PyNvVideoCodec needs; update it to version 530 or newer"
NOT_MOVED = "a frame could not be brought to the card; restart the encoder, and see dmesg if it stays so"

# NVENCSTATUS of nvEncodeAPI.h, in its order from 1.
STATUSES: dict[int, str] = {
    1: "the driver finds no card that encodes; take a card with NVENC, and in a container set "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
    2: NO_ENCODER,
    3: NOT_VALID,
    4: NOT_VALID,
    5: LOST,
    6: MISUSED,
    7: MISUSED,
    8: SETTINGS,
    9: MISUSED,
    10: OUT_OF_MEMORY,
    11: MISUSED,
    12: SETTINGS,
    13: OVERLOADED,
    14: "an encoded frame was larger than its buffer; set a higher NVENC_CQ",
    15: OLD,
    16: NOT_MOVED,
    17: MISUSED,
    18: OVERLOADED,
    19: MISUSED,
    20: "the driver failed for a reason of its own; see dmesg, and update the driver if it stays so",
    21: "the license of this card or driver does not cover it; take another card, or update the driver",
    22: OLD,
    23: NOT_MOVED,
    24: NOT_MOVED,
    25: NOT_MOVED,
}
"""Status of NVENC to its cause and what to do."""

# Sources: enum cudaError_enum of the CUDA driver API.
INITIALIZING: dict[int, str] = {
    3: "restart the encoder",
    34: "the library is a stub without a driver: start the container with NVIDIA's runtime (--gpus all)",
    46: "another program holds the card for itself alone: end it, or set its compute mode to default",
    100: "give this machine or container a GPU",
    101: "see that CUDA_VISIBLE_DEVICES names a card that there is",
    802: "the machine is still setting its cards up: wait, and see that its fabric manager runs",
    803: "the driver's library and kernel module differ in version: restart the container, or the machine",
    804: "the library is newer than the driver and this card cannot do with that: update the driver",
    999: "see dmesg, and restart the machine if it stays so",
}
"""Error of cuInit or cuDeviceGetCount to what to do."""

# "Out of memory" of older drivers and "incompatible client key" of newer ones: what a GeForce says at its limit.
AT_LIMIT = re.compile(r"nvEncOpenEncodeSessionEx.* returned error (10|21)\b")
STATUS = re.compile(r"returned error (\d+)\b")
LOST_PATTERN = r"CUDA_ERROR_(UNKNOWN|NO_DEVICE|ILLEGAL|LAUNCH|ECC|HARDWARE|CONTEXT_IS_DESTROYED)"
TABLE = {
    AT_LIMIT.pattern: FULL,
    r"CUDA_ERROR_OUT_OF_MEMORY": OUT_OF_MEMORY,
    LOST_PATTERN: LOST,
    r"nvEncEncodePicture API failed|(nvEncEncodePicture|nvEncLockBitstream).* returned error (8|12|20)\b": NOT_ENCODED,
}
"""Pattern in the library's words to what it means, where a status alone does not tell; the first found counts."""


def explain(words: str) -> str:
    """Return what an error of the library means for people. Its own words, which name paths and functions, are for the
    log."""
    if text := next((text for pattern, text in TABLE.items() if re.search(pattern, words)), ""):
        return text
    status = STATUS.search(words)
    if status is None:
        return UNKNOWN
    number = int(status[1])
    cause, _, what_to_do = STATUSES.get(number, UNKNOWN).partition("; ")
    return f"{cause} (NVENC error {number}); {what_to_do}"


def no_card(code: int) -> str:
    """Return what an error of CUDA means that was met before any card was found."""
    return NO_CARD.format(code, INITIALIZING.get(code, "see that the driver works: nvidia-smi"))


def find_fault() -> str:
    """Return why the driver's libraries cannot be used; "" when they can. Opens no device."""
    for name, text in ((CUDA, NO_DRIVER), (ENCODE, NO_VIDEO)):
        try:
            ctypes.CDLL(name)
        except OSError:
            return text
    api = api_version()
    return TOO_OLD.format(*api) if api < NEEDED_API else ""


def api_version() -> tuple[int, int]:
    """Return the newest NVENC API that the driver has; (0, 0) when it does not say."""
    return divmod(_ask(ENCODE, "NvEncodeAPIGetMaxSupportedVersion"), 16)


def versions() -> str:
    """Return the driver's versions of CUDA and NVENC, for people; "" where there is no driver that can be used."""
    if find_fault():
        return ""
    cuda = _ask(CUDA, "cuDriverGetVersion")
    return "{}.{} (CUDA), {}.{} (NVENC)".format(cuda // 1000, cuda % 1000 // 10, *api_version())


def _ask(library: str, function: str) -> int:
    """Return the version that a function of the driver writes; 0 when it does not say."""
    number = ctypes.c_uint32()
    return 0 if getattr(ctypes.CDLL(library), function)(ctypes.byref(number)) else number.value


def devices() -> tuple[Path, ...]:
    """Return the device files that a run on a card needs beside the libraries; on Windows' subsystem for Linux there is
    one for all cards."""
    return tuple(sorted(path for pattern in ("nvidia*", "dxg") for path in Path("/dev").glob(pattern)))


def destroy_leftover_context(number: int) -> None:
    """Destroy the context that is current on this thread, if it is not the primary one of the card: the library leaves
    one there when it is refused a session."""
    cuda, device = ctypes.CDLL(CUDA), ctypes.c_int()
    current, primary = ctypes.c_void_p(), ctypes.c_void_p()
    if cuda.cuCtxGetCurrent(ctypes.byref(current)) or cuda.cuDeviceGet(ctypes.byref(device), number):
        return
    if not current.value or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(primary), device):
        return
    cuda.cuDevicePrimaryCtxRelease_v2(device)
    if current.value != primary.value:
        cuda.cuCtxDestroy_v2(current)


def open_cards() -> list[str]:
    """Open a context on each card, which stays open, so that no session has to make one; return the names of the cards.
    Raises OSError where the driver finds none."""
    cuda, count = ctypes.CDLL(CUDA), ctypes.c_int()
    if code := cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        raise OSError(no_card(code))
    if not count.value:
        raise OSError(NONE_COUNTED)
    return [_open_card(cuda, number) for number in range(count.value)]


def _open_card(cuda: ctypes.CDLL, number: int) -> str:
    device, context, name = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(NAME_BYTES)
    code = cuda.cuDeviceGet(ctypes.byref(device), number) or cuda.cuDeviceGetName(name, NAME_BYTES, device)
    # A context that cannot be had is the affair of the first session, which will say why.
    cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    return f"card {number}" if code else name.value.decode(errors="replace")
