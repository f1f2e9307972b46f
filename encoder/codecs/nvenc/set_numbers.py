"""Gives parameter sets of H.264 another number than 0, which is that of all that the library makes, so that its
pictures can stand in one track with those of another encoder. Pure.

A number is told in as many bits as it is long (Exp-Golomb, ITU-T H.264, 9.1): 0 in one, those of NUMBERS in nine. So
what stands behind a number moves by a byte, and stays as it is, whether it is entropy-coded by bits or in bytes.
"""

import re

NUMBERS = range(15, 31)
SLICES, SPS, PPS = (1, 5), 7, 8
START = b"\0\0\1"
# Profile, constraints and level stand before the number of a sequence parameter set.
LEVEL_BITS = 24
# A number and what stands before it are told within so many bytes of a unit.
HEAD_BYTES = 24
# A byte with which nothing begins that has to be escaped.
LEAST_PLAIN = 4
ESCAPED = re.compile(rb"\0\0(?=[\0-\3])")


def renumbered(data: bytes, number: int) -> bytes:
    """Return an access unit (annex B) with its parameter sets of a number of NUMBERS, in place of 0; units that name
    another one, or are cut off, stay as they are."""
    parts = data.split(START)
    return START.join([parts[0], *(_renumbered_unit(unit, number) for unit in parts[1:])])


def _renumbered_unit(unit: bytes, number: int) -> bytes:
    kind = unit[0] & 31 if unit else 0
    if kind not in (*SLICES, SPS, PPS):
        return unit
    end = HEAD_BYTES
    while end < len(unit) and unit[end - 1] < LEAST_PLAIN:
        end += 1
    head = unit[:end].replace(b"\0\0\3", b"\0\0")
    bits = f"{int.from_bytes(head, 'big'):0{8 * len(head)}b}"
    place = 8
    if kind == SPS:
        place += LEVEL_BITS
    elif kind in SLICES:
        place = _behind_number(bits, _behind_number(bits, place))
    old = "11" if kind == PPS else "1"  # a PPS tells its own number, and that of its SPS
    if not bits.startswith(old, place):
        return unit
    code = f"{number + 1:09b}" * len(old)
    bits = bits[:place] + code + bits[place + len(old) :]
    made = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return ESCAPED.sub(b"\0\0\3", made) + unit[end:]


def _behind_number(bits: str, place: int) -> int:
    """Return where an Exp-Golomb number ends."""
    zeros = bits.find("1", place) - place
    return place + 2 * zeros + 1 if zeros >= 0 else len(bits)
