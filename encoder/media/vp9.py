"""Sizes of VP9's pictures, which may change with any picture, and may be those of another.

Source: VP9 Bitstream & Decoding Process Specification 0.6, 6.2 (uncompressed header).
"""

from dataclasses import dataclass, field

Sizes = tuple[int, int]
SLOTS = 8
SYNC = 0x498342
SRGB = 7
# More than there is before and in the size of a picture.
HEADER_BYTES = 32


class Bits:
    """Reads bits of a header from the most significant one on; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:HEADER_BYTES].ljust(HEADER_BYTES, b"\0"), "big")
        self._left = 8 * HEADER_BYTES

    def read(self, count: int) -> int:
        """Return the next bits as a number."""
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)


@dataclass
class Vp9Sizes:
    """Follows the sizes of a stream's pictures, and of those that are kept for others to refer to."""

    _kept: list[Sizes | None] = field(default_factory=lambda: [None] * SLOTS)

    def read(self, packet: bytes) -> list[Sizes]:
        """Return the sizes of the pictures of a packet, as far as they can be told."""
        return [size for frame in _frames(packet) if (size := self._read_frame(frame)) is not None]

    def _read_frame(self, frame: bytes) -> Sizes | None:
        bits = Bits(frame)
        if bits.read(2) != 2:
            return None
        profile = bits.read(1) | bits.read(1) << 1
        if profile == 3:
            bits.read(1)
        if bits.read(1):  # a picture that was decoded before
            return self._kept[bits.read(3)]
        is_inter, is_shown, is_resilient = bits.read(1), bits.read(1), bits.read(1)
        if is_inter:
            is_intra_only = not is_shown and bits.read(1)
            if not is_resilient:
                bits.read(2)
            size, kept = self._intra_only(bits, profile) if is_intra_only else self._inter(bits)
        else:
            size, kept = _key(bits, profile)
        for slot in range(SLOTS):
            if kept >> slot & 1:
                self._kept[slot] = size
        return size

    def _intra_only(self, bits: Bits, profile: int) -> tuple[Sizes | None, int]:
        if bits.read(24) != SYNC:
            return None, 0
        if profile:
            _skip_colors(bits, profile)
        kept = bits.read(8)
        return _read_size(bits), kept

    def _inter(self, bits: Bits) -> tuple[Sizes | None, int]:
        kept = bits.read(8)
        referred = [bits.read(4) >> 1 for _ in range(3)]
        for slot in referred:
            if bits.read(1):
                return self._kept[slot], kept
        return _read_size(bits), kept


def _frames(packet: bytes) -> list[bytes]:
    """Return the frames of a packet; where they are several, an index at its end tells their lengths (annex B)."""
    marker = packet[-1] if packet else 0
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = packet[-2 - count * width :]
    if marker & 0xE0 != 0xC0 or index[:1] != packet[-1:]:
        return [packet]
    frames, start = [], 0
    for number in range(count):
        length = int.from_bytes(index[1 + number * width : 1 + (number + 1) * width], "little")
        frames.append(packet[start : start + length])
        start += length
    return frames


def _key(bits: Bits, profile: int) -> tuple[Sizes | None, int]:
    """Return the size of a picture that needs no other, and where it is kept."""
    if bits.read(24) != SYNC:
        return None, 0
    _skip_colors(bits, profile)
    return _read_size(bits), 0xFF


def _read_size(bits: Bits) -> Sizes:
    return bits.read(16) + 1, bits.read(16) + 1


def _skip_colors(bits: Bits, profile: int) -> None:
    if profile >= 2:
        bits.read(1)
    if bits.read(3) != SRGB:
        bits.read(1)
        if profile in (1, 3):
            bits.read(3)
    elif profile in (1, 3):
        bits.read(1)
