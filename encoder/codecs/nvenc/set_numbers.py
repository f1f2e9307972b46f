"""Gives parameter sets another number than 0, which is that of all that the library makes, so that its pictures can
stand in one track with those of another encoder. Pure.

A number is told in as many bits as it is long (Exp-Golomb, ITU-T H.264, 9.1): 0 in one, those of NUMBERS in nine. So
what stands behind a number in a slice moves by a byte, and stays as it is, whether it is entropy-coded by bits or in
bytes. In H.265 picture parameter sets have these numbers; those of sequences and of the video go to 15, and have one
that is less by the first of NUMBERS.
"""

import re

NUMBERS = range(15, 31)
START = b"\0\0\1"
# What is looked at of a slice, of any set of H.264 up to its number, and of all of one of H.265.
HEAD_BYTES, SET_BYTES = 24, 2048
# A byte with which nothing begins that has to be escaped.
LEAST_PLAIN = 4
ESCAPED = re.compile(rb"\0\0(?=[\0-\3])")

H264_SLICES, H264_SPS, H264_PPS = (1, 5), 7, 8
# Profile, constraints and level stand before the number of a sequence parameter set.
LEVEL_BITS = 24

# Table 7-1: slices, and those of pictures whose slices tell a bit more before their number.
HEVC_SLICES, HEVC_KEYS = (*range(10), *range(16, 22)), range(16, 24)
HEVC_VPS, HEVC_SPS, HEVC_PPS = 32, 33, 34
HEVC_HEADER_BITS = 16
# Of the number of a VPS.
VPS_BITS = 4
# Layers in time, profile, and level; and what stands for each further layer (ITU-T H.265, 7.3.3).
LAYERS_BITS, PROFILE_BITS, LEVEL_BYTE_BITS, MAX_LAYERS = 3, 88, 8, 8


def renumbered(data: bytes, number: int, form: str = "h264") -> bytes:
    """Return an access unit (annex B) of H.264 or H.265 (`hevc`) with its parameter sets of a number of NUMBERS, in
    place of 0; units that name another one, or are cut off, stay as they are."""
    change = _renumbered_hevc if form == "hevc" else _renumbered_h264
    parts = data.split(START)
    return START.join([parts[0], *(change(unit, number) for unit in parts[1:])])


def _renumbered_h264(unit: bytes, number: int) -> bytes:
    kind = unit[0] & 31 if unit else 0
    if kind not in (*H264_SLICES, H264_SPS, H264_PPS):
        return unit
    head, rest = _split(unit)
    bits = _bits_of(head)
    place = 8
    if kind == H264_SPS:
        place += LEVEL_BITS
    elif kind in H264_SLICES:
        place = _behind_number(bits, _behind_number(bits, place))
    old = "11" if kind == H264_PPS else "1"  # a PPS tells its own number, and that of its SPS
    if not bits.startswith(old, place):
        return unit
    return _escaped(bits[:place] + _coded(number) * len(old) + bits[place + len(old) :]) + rest


def _renumbered_hevc(unit: bytes, number: int) -> bytes:
    kind = unit[0] >> 1 & 63 if len(unit) > 2 else -1
    if kind in HEVC_SLICES:
        return _renumbered_slice(unit, number, HEVC_HEADER_BITS + (2 if kind in HEVC_KEYS else 1))
    if kind not in (HEVC_VPS, HEVC_SPS, HEVC_PPS) or len(unit) > SET_BYTES:
        return unit
    above = number - NUMBERS[0]
    # A zero byte behind a unit is part of the next start code.
    plain = unit.rstrip(b"\0")
    bits = _bits_of(plain.replace(b"\0\0\3", b"\0\0"))
    if kind == HEVC_PPS:
        changes = {HEVC_HEADER_BITS: ("11", _coded(number) + _coded(above))}
    else:
        changes = {HEVC_HEADER_BITS: ("0" * VPS_BITS, f"{above:0{VPS_BITS}b}")}
        if kind == HEVC_SPS:
            changes[_sequence_number_at(bits)] = ("1", _coded(above))
    if not all(bits.startswith(old, place) for place, (old, _) in changes.items()):
        return unit
    for place, (old, new) in sorted(changes.items(), reverse=True):
        bits = bits[:place] + new + bits[place + len(old) :]
    # A set ends with a bit that is set, and zeros up to a whole byte.
    bits = bits.rstrip("0")
    return _escaped(bits.ljust(-(-len(bits) // 8) * 8, "0")) + unit[len(plain) :]


def _renumbered_slice(unit: bytes, number: int, place: int) -> bytes:
    head, rest = _split(unit)
    bits = _bits_of(head)
    return _escaped(bits[:place] + _coded(number) + bits[place + 1 :]) + rest if bits.startswith("1", place) else unit


def _sequence_number_at(bits: str) -> int:
    """Return where the number of an SPS of H.265 stands, 7.3.2.2; behind the end of one that is cut off."""
    place = HEVC_HEADER_BITS + VPS_BITS
    layers = int(bits[place : place + LAYERS_BITS] or "0", 2)
    place += LAYERS_BITS + 1 + PROFILE_BITS + LEVEL_BYTE_BITS
    if layers:
        told = bits[place : place + 2 * layers]
        place += 2 * MAX_LAYERS + told[::2].count("1") * PROFILE_BITS + told[1::2].count("1") * LEVEL_BYTE_BITS
    return place


def _split(unit: bytes) -> tuple[bytes, bytes]:
    """Return the head of a unit without what escapes its bytes, and the rest as it is."""
    end = HEAD_BYTES
    while end < len(unit) and unit[end - 1] < LEAST_PLAIN:
        end += 1
    return unit[:end].replace(b"\0\0\3", b"\0\0"), unit[end:]


def _bits_of(data: bytes) -> str:
    return f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"


def _escaped(bits: str) -> bytes:
    return ESCAPED.sub(b"\0\0\3", int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _coded(number: int) -> str:
    """Return an Exp-Golomb number as bits."""
    bits = f"{number + 1:b}"
    return "0" * (len(bits) - 1) + bits


def _behind_number(bits: str, place: int) -> int:
    """Return where an Exp-Golomb number ends."""
    zeros = bits.find("1", place) - place
    return place + 2 * zeros + 1 if zeros >= 0 else len(bits)
