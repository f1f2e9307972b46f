"""H.265 as MP4 holds it: NAL units, parameter sets, and the record that they stand in (hvcC). Pure; what cannot be read
raises BadBitstream.

Sources: ITU-T H.265, 7.3 (syntax), table 7-1 (NAL units), annex E (usability information); ISO/IEC 14496-15, 8.3.3.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

from encoder.splice import pictures
from encoder.splice.bits import BadBitstream, SetBits
from encoder.splice.h264 import DecoderRecord, PictureShape, SequenceParameters, read_look

NAME = "H.265"
PLAIN = "progressive H.265 of 8 bits in Main profile"
RASL, RADL = (8, 9), (6, 7)
BLA, BLA_N_LP, IDR, CRA, LAST_KEY = (16, 17, 18), 18, (19, 20), 21, 23
VPS, SPS, PPS = 32, 33, 34
SETS = (VPS, SPS, PPS)
# Slices, parameter sets, delimiters, filler and messages: what a plain picture consists of. An end of a sequence would
# have the picture behind it mean something else.
PLAIN_UNITS = (*range(10), *BLA, *IDR, CRA, *SETS, 35, 38, 39, 40)
# A unit of another layer, as those for the second eye: of a kind that is none.
OTHER_LAYER = 64
HEADER_BYTES = 2
# no_output_of_prior_pics_flag, in the first byte behind the header of slices of keyframes.
DROPS = 0x40
# Main, and Main 10, whose decoders decode Main too.
PROFILES = {1: "main", 2: "main"}
LEVELS = (10, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62)
MAX_SPS_SETS, MAX_PPS_SETS = 16, 64
# Of each of SETS.
MOST_SETS = MAX_SPS_SETS, MAX_SPS_SETS, MAX_PPS_SETS
# Of picture parameter sets: those that are written in nine bits. Sequence and video parameter sets have one that is
# less by the first.
NUMBERS = range(30, 14, -1)
FIRST_NUMBER = 15
HEAD_BYTES, ARRAYS_AT = 21, 22
MAX_DELTAS = 16
MAX_REFERENCE_SETS = 64


def iter_units(data: memoryview, length_bytes: int) -> Iterator[tuple[int, memoryview]]:
    """Yield the kind of each NAL unit of a packet, and the unit."""
    place, total = 0, len(data)
    while place < total:
        start = place + length_bytes
        end = start + int.from_bytes(data[place:start], "big")
        if not start + HEADER_BYTES < end <= total:
            raise BadBitstream("a NAL unit has a length that cannot be")
        is_base = not data[start] & 1 and not data[start + 1] >> 3
        yield data[start] >> 1 & 63 if is_base else OTHER_LAYER, data[start:end]
        place = end


def picture(kind: int, unit: memoryview) -> int:
    """Return what a unit tells of the picture of its packet; see pictures."""
    if kind in (*BLA, *IDR):
        return pictures.DROPPING if unit[HEADER_BYTES] & DROPS else pictures.ANEW
    if kind == CRA:
        return pictures.CRA
    if kind in (*RADL, *RASL):
        return pictures.DECODABLE_LEADING if kind in RADL else pictures.SKIPPED_LEADING
    return pictures.PLAIN if kind < RADL[0] else pictures.NONE


def broken_link(data: bytes, length_bytes: int) -> bytes:
    """Return a packet of a CRA picture as one of a BLA picture, to which no others lead: what stands before it is not
    what stood there, and its place in the order of pictures counts anew. Its slices are of another kind, and none says
    that what was not shown yet is dropped, which decoders heed of a BLA picture alone; all else is as it was."""
    made, place = bytearray(data), 0
    for kind, unit in iter_units(memoryview(data), length_bytes):
        place += length_bytes
        if kind == CRA:
            made[place] = BLA_N_LP << 1 | made[place] & 0x81
            made[place + HEADER_BYTES] &= ~DROPS & 0xFF
        place += len(unit)
    return bytes(made)


def _read_profile(bits: SetBits, layers: int) -> tuple[int, bool, int]:
    """Return profile, whether it is the high tier, and level, ten times that of the standard, 7.3.3."""
    space, tier, profile, compatible = bits.take(2), bits.take(1), bits.take(5), bits.take(32)
    bits.take(48)
    level = bits.take(8)
    told = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in told:
        bits.take(88 * has_profile + 8 * has_level)
    main = next((known for known in PROFILES if compatible >> 31 - known & 1), profile)
    return main if not space else -1, bool(tier), level // 3


def read_sps(unit: bytes) -> SequenceParameters:
    """Return what an SPS says, 7.3.2.2; the shape of pictures is counted in samples of those that are shown."""
    bits = SetBits(unit[HEADER_BYTES:])
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    profile, is_high, level = _read_profile(bits, layers)
    number, chroma = bits.unsigned(), bits.unsigned()
    if chroma == 3:
        bits.take(1)
    width, height = bits.unsigned(), bits.unsigned()
    left, right, top, bottom = [2 * bits.unsigned() for _ in range(4)] if bits.take(1) else (0, 0, 0, 0)
    depths = bits.unsigned(), bits.unsigned()
    order_bits = bits.unsigned() + 4
    references = reordered = 0
    for _ in range(layers + 1 if bits.take(1) else 1):
        references, reordered = bits.unsigned(), bits.unsigned()
        bits.unsigned()
    for _ in range(6):  # sizes of blocks
        bits.unsigned()
    if bits.take(1) and bits.take(1):
        _skip_scaling_lists(bits)
    bits.take(2)
    if bits.take(1):  # samples as they are
        bits.take(8), bits.unsigned(), bits.unsigned(), bits.take(1)
    _skip_references(bits, order_bits)
    bits.take(2)
    shape = PictureShape(width - left - right, height - top - bottom, (left, 0, top, 0))
    plain = chroma == 1 and depths == (0, 0)
    found = SequenceParameters(number, profile, level, plain, references, shape, reordered, is_high)
    return _with_usability(found, bits) if bits.take(1) else found


def _skip_scaling_lists(bits: SetBits) -> None:
    """Read over 7.3.4."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.take(1):
                bits.unsigned()
                continue
            for _ in range(min(64, 1 << 4 + 2 * size) + (size > 1)):
                bits.signed()


def _skip_references(bits: SetBits, order_bits: int) -> None:
    """Read over the sets of pictures that may be referred to, 7.3.7 and 7.4.8."""
    count = bits.unsigned()
    if count > MAX_REFERENCE_SETS:
        raise BadBitstream("there are too many sets of references")
    before: list[int] = []
    for index in range(count):
        before = _read_predicted(bits, before) if index and bits.take(1) else _read_deltas(bits)
        if len(before) > 2 * MAX_DELTAS:
            raise BadBitstream("a set has too many references")
    if bits.take(1):
        for _ in range(bits.unsigned()):
            bits.take(order_bits + 1)


def _read_deltas(bits: SetBits) -> list[int]:
    """Return by how much the pictures of a set are shown before this one, the nearest first, and then behind it."""
    counts, found = (bits.unsigned(), bits.unsigned()), []
    if max(counts) > MAX_DELTAS:
        raise BadBitstream("a set has too many references")
    for count, sign in zip(counts, (-1, 1), strict=True):
        delta = 0
        for _ in range(count):
            delta += sign * (bits.unsigned() + 1)
            bits.take(1)
            found.append(delta)
    return found


def _read_predicted(bits: SetBits, before: list[int]) -> list[int]:
    """Return the same of a set that is told by the one before it."""
    sign = -1 if bits.take(1) else 1
    by = sign * (bits.unsigned() + 1)
    kept = [delta + by for delta in (*before, 0) if bits.take(1) or bits.take(1)]
    return sorted((one for one in kept if one < 0), reverse=True) + sorted(one for one in kept if one > 0)


def _with_usability(found: SequenceParameters, bits: SetBits) -> SequenceParameters:
    """Return parameters with those of annex E."""
    shape = read_look(bits, found.shape)
    bits.take(1)
    are_fields = bits.take(1)
    return replace(found, shape=shape, plain=found.plain and not are_fields)


def pps_number(unit: bytes) -> int:
    """Return the number of a picture parameter set, 7.3.2.3, which its first bytes tell."""
    return SetBits(unit[HEADER_BYTES : HEADER_BYTES + 8]).unsigned()


def vps_number(unit: bytes) -> int:
    """Return the number of a video parameter set, 7.3.2.1."""
    return SetBits(unit[HEADER_BYTES : HEADER_BYTES + 1]).take(4)


@dataclass(frozen=True)
class HevcRecord(DecoderRecord):
    """An hvcC: beside what an avcC holds, video parameter sets. The `tail` are its arrays of messages; `layers` is the
    byte that tells of layers in time, without what tells of lengths."""

    vps: tuple[bytes, ...] = ()
    layers: int = 0

    @property
    def sets(self) -> tuple[bytes, ...]:
        return (*self.vps, *self.sps, *self.pps)

    def sequences(self) -> list[SequenceParameters]:
        return [read_sps(unit) for unit in self.sps]

    def has_number(self, number: int) -> bool:
        known = [*map(vps_number, self.vps), *(one.number for one in self.sequences()), *map(pps_number, self.pps)]
        return known == [number - FIRST_NUMBER, number - FIRST_NUMBER, number]

    def to_bytes(self) -> bytes:
        kinds = zip(SETS, (self.vps, self.sps, self.pps), strict=True)
        arrays = b"".join(_array(kind, units) for kind, units in kinds)
        count = len(SETS) + (self.tail[0] if self.tail else 0)
        return b"".join((self.head, bytes([self.layers | self.length_bytes - 1, count]), arrays, self.tail[1:]))

    def with_sets(self, other: DecoderRecord) -> Self:
        assert isinstance(other, HevcRecord)
        made = replace(
            self,
            head=_common_head(self.head, other.head),
            layers=self.layers if self.layers == other.layers else 0,
            vps=(*self.vps, *other.vps),
            sps=(*self.sps, *other.sps),
            pps=(*self.pps, *other.pps),
        )
        _check_counts(made.vps, made.sps, made.pps)
        return made

    def joined(self, other: DecoderRecord) -> Self | None:
        assert isinstance(other, HevcRecord)
        told = [(one.head[:13], one.head[16:19], one.length_bytes) for one in (self, other)]
        if told[0] != told[1]:
            return None
        vps, sps, pps = (
            tuple(dict.fromkeys((*mine, *theirs)))
            for mine, theirs in ((self.vps, other.vps), (self.sps, other.sps), (self.pps, other.pps))
        )
        numbers = {*map(vps_number, vps)}, {read_sps(unit).number for unit in sps}, {*map(pps_number, pps)}
        if [len(vps), len(sps), len(pps)] != [len(found) for found in numbers]:
            return None
        layers = self.layers if self.layers == other.layers else 0
        head = _common_head(self.head, other.head)
        return replace(self, head=head, layers=layers, vps=vps, sps=sps, pps=pps, tail=b"")


def _check_counts(*sets: tuple[bytes, ...]) -> None:
    """Raise BadBitstream where there are more video, sequence or picture parameter sets than decoders keep."""
    if any(len(found) > most for found, most in zip(sets, MOST_SETS, strict=True)):
        raise BadBitstream("there are too many parameter sets")


def _array(kind: int, units: tuple[bytes, ...]) -> bytes:
    """Return an array of sets, which has all of them that there are."""
    told = [bytes([0x80 | kind]), len(units).to_bytes(2, "big")]
    return b"".join((*told, *(len(unit).to_bytes(2, "big") + unit for unit in units)))


def _common_head(one: bytes, other: bytes) -> bytes:
    """Return the head of a record whose sequences are of two records: profile, tier and level are those of the first,
    which asks more; what is true of both is told."""
    known = bytes(mine & theirs for mine, theirs in zip(one[2:12], other[2:12], strict=True))
    # How pictures are cut, by which they can be decoded in parallel; and their rate.
    cut = one[13:16] if one[13:16] == other[13:16] else b"\xf0\0\xfc"
    rate = one[19:21] if one[19:21] == other[19:21] else b"\0\0"
    return one[:2] + known + one[12:13] + cut + one[16:19] + rate


def read_record(data: bytes) -> HevcRecord:
    """Return an hvcC."""
    if len(data) <= ARRAYS_AT or data[0] != 1:
        raise BadBitstream("there is no hvcC")
    sets: dict[int, list[bytes]] = {kind: [] for kind in SETS}
    others: list[bytes] = []
    place = ARRAYS_AT + 1
    for _ in range(data[ARRAYS_AT]):
        begin, (units, place) = place, _read_array(data, place)
        kind = data[begin] & 63
        if kind in sets:
            sets[kind] += units
        else:
            others.append(data[begin:place])
    vps, sps, pps = (tuple(sets[kind]) for kind in SETS)
    if not sps or not pps or not vps:
        raise BadBitstream("the hvcC has no parameter sets")
    _check_counts(vps, sps, pps)
    tail = bytes([len(others)]) + b"".join(others) if others else b""
    return HevcRecord(data[:HEAD_BYTES], (data[21] & 3) + 1, sps, pps, tail, vps, data[21] & 0xFC)


def _read_array(data: bytes, place: int) -> tuple[list[bytes], int]:
    """Return the units of an array, and where it ends."""
    if place + 3 > len(data):
        raise BadBitstream("the hvcC is cut off")
    count, place, found = int.from_bytes(data[place + 1 : place + 3], "big"), place + 3, []
    for _ in range(count):
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        if not place + 2 + HEADER_BYTES < end <= len(data):
            raise BadBitstream("the hvcC is cut off")
        found.append(data[place + 2 : end])
        place = end
    return found, place


def free_number(record: DecoderRecord) -> int:
    """Return a number that no picture parameter set has, nor others what stands for it (NUMBERS): the largest. Raises
    BadBitstream where there is none, or no room for another set."""
    assert isinstance(record, HevcRecord)
    if len(record.sps) >= MAX_SPS_SETS or len(record.pps) >= MAX_PPS_SETS:
        raise BadBitstream("there are too many parameter sets")
    above = {*map(vps_number, record.vps), *(one.number for one in record.sequences())}
    taken = {*map(pps_number, record.pps), *(number + FIRST_NUMBER for number in above)}
    free = [number for number in NUMBERS if number not in taken]
    if not free:
        raise BadBitstream("all numbers of parameter sets are taken")
    return free[0]


def fits_shape(shape: PictureShape, width: int, height: int) -> bool:
    """Return whether new pictures can be cut as these are, which are shown in this size: at the right and below."""
    return shape.cropped == (0, 0, 0, 0) and (shape.across, shape.down) == (width, height)
