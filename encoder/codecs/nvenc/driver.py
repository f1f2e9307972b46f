"""NVIDIA's driver, asked directly: its version, its cards, and why it is of no use here. Through ctypes, as the
questions come before anything may be imported that needs it.

Sources: CUDA driver API (cuInit, cuDeviceGet…); nvEncodeAPI.h (NvEncodeAPIGetMaxSupportedVersion).
"""

import ctypes
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
NO_CARD = "the driver finds no card (CUDA error {}); give this machine or container a GPU"


def missing() -> str:
    """Why the driver's libraries cannot be used; "" when they can. Opens no device."""
    for name, text in ((CUDA, NO_DRIVER), (ENCODE, NO_VIDEO)):
        try:
            ctypes.CDLL(name)
        except OSError:
            return text
    api = api_version()
    return TOO_OLD.format(*api) if api < NEEDED_API else ""


def api_version() -> tuple[int, int]:
    """The newest NVENC API that the driver has; (0, 0) when it does not tell."""
    number = ctypes.c_uint32()
    if ctypes.CDLL(ENCODE).NvEncodeAPIGetMaxSupportedVersion(ctypes.byref(number)):
        return 0, 0
    return number.value >> 4, number.value & 15


def cuda_version() -> tuple[int, int]:
    """The newest CUDA that the driver has; (0, 0) when it does not tell."""
    number = ctypes.c_int()
    if ctypes.CDLL(CUDA).cuDriverGetVersion(ctypes.byref(number)):
        return 0, 0
    return number.value // 1000, number.value % 1000 // 10


def versions() -> str:
    """What CUDA and NVENC the driver has, for people; "" where there is no driver that can be used."""
    if missing():
        return ""
    return "{}.{} (CUDA), {}.{} (NVENC)".format(*cuda_version(), *api_version())


def devices() -> tuple[Path, ...]:
    """What a run that uses a card must reach beside the libraries."""
    return tuple(sorted(Path("/dev").glob("nvidia*")))


def drop_left_context(number: int) -> None:
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


class Cards:
    """The cards, and a context on each that stays open, so that no session has to make one. Raises OSError where the
    driver finds none."""

    def __init__(self) -> None:
        self._cuda = ctypes.CDLL(CUDA)
        if code := self._cuda.cuInit(0):
            raise OSError(NO_CARD.format(code))
        count = ctypes.c_int()
        if (code := self._cuda.cuDeviceGetCount(ctypes.byref(count))) or not count.value:
            raise OSError(NO_CARD.format(code))
        self.names = [self._opened(number) for number in range(count.value)]

    def _opened(self, number: int) -> str:
        device, context, name = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(NAME_BYTES)
        code = self._cuda.cuDeviceGet(ctypes.byref(device), number) or self._cuda.cuDeviceGetName(
            name, NAME_BYTES, device
        )
        # A context that cannot be had is the affair of the first session, which will say why.
        self._cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
        return f"card {number}" if code else name.value.decode(errors="replace")
