"""H.264 as MP4 holds it: NAL units, parameter sets, and the record that they stand in (avcC). Pure; what cannot be read
raises BadBitstream.

Sources: ITU-T H.264, 7.3 (syntax), 7.4.1 (NAL units), annex E (usability information); ISO/IEC 14496-15, 5.3.3.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from encoder.splice import pictures
from encoder.splice.bits import BadBitstream, SetBits

NAME = "H.264"
PLAIN = "progressive H.264 of 8 bits in Baseline, Main or High profile"
SLICE, IDR, SPS, PPS = 1, 5, 7, 8
SETS = (SPS, PPS)
# Slices, messages, parameter sets, delimiters, ends and filler: what a plain picture consists of.
PLAIN_UNITS = (SLICE, IDR, 6, SPS, PPS, 9, 10, 11, 12)
BASELINE, MAIN, HIGH = 66, 77, 100
PROFILES = {BASELINE: "baseline", MAIN: "main", HIGH: "high"}
# As SPS of other profiles are not spoken of here, those with a choice of chroma are these.
WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128)
# Numbers of levels that x264 takes, ten times those of the standard.
LEVELS = (9, 10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52, 60, 61, 62)
MAX_SPS_SETS, MAX_PPS_SETS = 31, 255
# Of sets, in the order in which they are taken: NVENC can have those from 15 to 30.
NUMBERS: tuple[int, ...] = (*range(30, 14, -1), 31, *range(14, -1, -1))
# The longest number of a set, and more.
NUMBER_BYTES = 8
EXTENDED_SAR = 255
# Table E-1.
ASPECTS = (
    *((0, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11), (80, 33), (18, 11)),
    *((15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)


@dataclass(frozen=True)
class PictureShape:
    """What the pictures of a sequence are, to decoders: macroblocks across and down, pixels cut away at each side in
    units of the chroma, width and height of a pixel (0 where it is not told), and whether they are of full range."""

    across: int
    down: int
    cropped: tuple[int, int, int, int]
    pixel: tuple[int, int] = (0, 1)
    full_range: bool = False


@dataclass(frozen=True)
class SequenceParameters:
    """A sequence parameter set (SPS). `level` is ten times that of the standard, `references` the most pictures that
    are kept to predict from, `reordered` the most that are decoded before one that is shown earlier, None where it is
    not told. It is `plain` of progressive pictures with 8 bits in 4:2:0. Of H.265 it may be of the high tier."""

    number: int
    profile: int
    level: int
    plain: bool
    references: int
    shape: PictureShape
    reordered: int | None = None
    is_high_tier: bool = False


def read_sps(unit: bytes) -> SequenceParameters:
    """Return what an SPS says, 7.3.2.1.1."""
    bits = SetBits(unit[1:])
    profile, _, level = bits.take(8), bits.take(8), bits.take(8)
    number = bits.unsigned()
    plain = _read_chroma(bits) if profile in WITH_CHROMA else True
    bits.unsigned()  # log2_max_frame_num
    _skip_order(bits)
    references = bits.unsigned()
    bits.take(1)  # gaps_in_frame_num
    across, units = bits.unsigned() + 1, bits.unsigned() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)  # direct_8x8_inference
    cropped = _read_crop(bits) if bits.take(1) else (0, 0, 0, 0)
    shape = PictureShape(across, units * (2 - frames_only), cropped)
    found = SequenceParameters(number, profile, level, plain and bool(frames_only), references, shape)
    return _with_usability(found, bits) if bits.take(1) else found


def _read_crop(bits: SetBits) -> tuple[int, int, int, int]:
    return bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()


def _read_chroma(bits: SetBits) -> bool:
    """Read over what high profiles tell of the samples; return True for 8 bits in 4:2:0."""
    chroma = bits.unsigned()
    if chroma == 3:
        bits.take(1)
    depths = bits.unsigned(), bits.unsigned()
    lossless = bits.take(1)
    if bits.take(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma == 1 and depths == (0, 0) and not lossless


def _skip_scaling_list(bits: SetBits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _skip_order(bits: SetBits) -> None:
    """Read over how the order of pictures is told."""
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.take(1), bits.signed(), bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()


def _with_usability(found: SequenceParameters, bits: SetBits) -> SequenceParameters:
    """Return parameters with those of annex E."""
    shape = read_look(bits, found.shape)
    if bits.take(1):  # timing
        bits.take(65)
    has_buffers = [_skip_buffers(bits) for _ in range(2)]
    if any(has_buffers):
        bits.take(1)
    bits.take(1)  # pic_struct_present
    reordered = None
    if bits.take(1):
        bits.take(1)
        for _ in range(4):
            bits.unsigned()
        reordered = bits.unsigned()
    return replace(found, shape=shape, reordered=reordered)


def read_look(bits: SetBits, shape: PictureShape) -> PictureShape:
    """Return the shape of pictures with what the first parts of annex E tell, which H.265 has too: how wide a pixel is,
    and the range of samples."""
    pixel, full_range = _read_aspect(bits), False
    if bits.take(1):  # overscan
        bits.take(1)
    if bits.take(1):
        _, full_range = bits.take(3), bool(bits.take(1))
        if bits.take(1):
            bits.take(24)
    if bits.take(1):  # where samples of color lie
        bits.unsigned(), bits.unsigned()
    return replace(shape, pixel=pixel, full_range=full_range)


def _read_aspect(bits: SetBits) -> tuple[int, int]:
    """Return width and height of a pixel, E.1.1."""
    if not bits.take(1):
        return ASPECTS[0]
    kind = bits.take(8)
    if kind == EXTENDED_SAR:
        return bits.take(16), bits.take(16)
    return ASPECTS[kind] if kind < len(ASPECTS) else ASPECTS[0]


def _skip_buffers(bits: SetBits) -> bool:
    """Read over parameters of a reference decoder, E.1.2; return whether there are any."""
    if not bits.take(1):
        return False
    count = min(bits.unsigned(), 31) + 1
    bits.take(8)
    for _ in range(count):
        bits.unsigned(), bits.unsigned(), bits.take(1)
    bits.take(20)
    return True


def pps_number(unit: bytes) -> int:
    """Return the number of a picture parameter set, 7.3.2.2, which its first bytes tell: scaling lists make it long."""
    return SetBits(unit[1 : 1 + NUMBER_BYTES]).unsigned()


@dataclass(frozen=True)
class DecoderRecord:
    """An avcC: its first bytes, bytes of a length, parameter sets, and what stands behind them."""

    head: bytes
    length_bytes: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    tail: bytes = b""

    @property
    def sets(self) -> tuple[bytes, ...]:
        """All parameter sets."""
        return (*self.sps, *self.pps)

    def sequences(self) -> list[SequenceParameters]:
        """Return what each SPS says."""
        return [read_sps(unit) for unit in self.sps]

    def has_number(self, number: int) -> bool:
        """Return whether there is one set of each kind, of this number as encoders give it."""
        return len(self.pps) == 1 and [one.number for one in self.sequences()] == [number]

    def to_bytes(self) -> bytes:
        """Return it as it stands in a file."""
        parts = [self.head, bytes([0xFC | self.length_bytes - 1, 0xE0 | len(self.sps)])]
        parts += [len(unit).to_bytes(2, "big") + unit for unit in self.sps]
        parts.append(bytes([len(self.pps)]))
        parts += [len(unit).to_bytes(2, "big") + unit for unit in self.pps]
        return b"".join((*parts, self.tail))

    def with_sets(self, other: "DecoderRecord") -> Self:
        """Return it with the parameter sets of another too."""
        sps, pps = (*self.sps, *other.sps), (*self.pps, *other.pps)
        if len(sps) > MAX_SPS_SETS or len(pps) > MAX_PPS_SETS:
            raise BadBitstream("there are too many parameter sets")
        # A constraint is told where all sequences keep to it.
        head = bytes((*self.head[:2], self.head[2] & other.head[2], self.head[3]))
        return replace(self, head=head, sps=sps, pps=pps)

    def joined(self, other: "DecoderRecord") -> Self | None:
        """Return it with those sets of another that it lacks; None where one decoder is not set up for both: by two
        sets of one number, another profile or level, or lengths of another kind."""
        if (self.head, self.length_bytes, self.tail) != (other.head, other.length_bytes, other.tail):
            return None
        sps, pps = (dict.fromkeys((*mine, *theirs)) for mine, theirs in ((self.sps, other.sps), (self.pps, other.pps)))
        numbers = {read_sps(unit).number for unit in sps}, {pps_number(unit) for unit in pps}
        if [len(sps), len(pps)] != [len(found) for found in numbers]:
            return None
        return replace(self, sps=tuple(sps), pps=tuple(pps))


def read_record(data: bytes) -> DecoderRecord:
    """Return an avcC."""
    if len(data) < 7 or data[0] != 1:
        raise BadBitstream("there is no avcC")
    sps, place = _read_sets(data, 6, data[5] & 31)
    if place >= len(data):
        raise BadBitstream("the avcC is cut off")
    pps, place = _read_sets(data, place + 1, data[place])
    if not sps or not pps:
        raise BadBitstream("the avcC has no parameter sets")
    return DecoderRecord(data[:4], (data[4] & 3) + 1, sps, pps, data[place:])


def _read_sets(data: bytes, place: int, count: int) -> tuple[tuple[bytes, ...], int]:
    found = []
    for _ in range(count):
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        if not place + 2 < end <= len(data):
            raise BadBitstream("the avcC is cut off")
        found.append(data[place + 2 : end])
        place = end
    return tuple(found), place


def iter_units(data: memoryview, length_bytes: int) -> Iterator[tuple[int, memoryview]]:
    """Yield the kind of each NAL unit of a packet, and the unit."""
    place, total = 0, len(data)
    while place < total:
        start = place + length_bytes
        end = start + int.from_bytes(data[place:start], "big")
        if not start < end <= total:
            raise BadBitstream("a NAL unit has a length that cannot be")
        yield data[start] & 31, data[start:end]
        place = end


def free_number(record: DecoderRecord) -> int:
    """Return a number that no set of parameters has, of both kinds, as encoders give both the same: the largest that
    all codecs can give, if one is free. Raises BadBitstream where there is none, or no room for another set."""
    if len(record.sps) >= MAX_SPS_SETS or len(record.pps) >= MAX_PPS_SETS:
        raise BadBitstream("there are too many parameter sets")
    taken = {read_sps(unit).number for unit in record.sps} | {pps_number(unit) for unit in record.pps}
    free = [number for number in NUMBERS if number not in taken]
    if not free:
        raise BadBitstream("all numbers of parameter sets are taken")
    return free[0]


def picture(kind: int, _: memoryview) -> int:
    """Return what a unit tells of the picture of its packet; see pictures."""
    return pictures.ANEW if kind == IDR else pictures.PLAIN if kind == SLICE else pictures.NONE


def fits_shape(shape: PictureShape, width: int, height: int) -> bool:
    """Return whether new pictures can be cut as these are, which are shown in this size: at the right and below, by
    less than a macroblock."""
    right, bottom = 16 * shape.across - width, 16 * shape.down - height
    is_even = not right % 2 and not bottom % 2
    return shape.cropped == (0, right // 2, 0, bottom // 2) and max(right, bottom) < 16 and is_even
