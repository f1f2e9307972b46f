"""Damaged files: mutations of a file's bytes, each made by a seed, the same on every machine."""

import random
import struct
from collections.abc import Callable

Mutation = Callable[[random.Random, bytearray], bytes | bytearray]
RUN = 64


def mutated(data: bytes, seed: int) -> bytes:
    """`data` damaged in one to three ways."""
    chance = random.Random(seed)
    made: bytes | bytearray = data
    for _ in range(chance.randint(1, 3)):
        made = chance.choice(MUTATIONS)(chance, bytearray(made))
    return bytes(made)


def _place(chance: random.Random, data: bytearray) -> int:
    # Heads of files are where most can go wrong.
    return chance.randrange(min(len(data), 512) if chance.random() < 0.5 else len(data)) if data else 0


def _flipped(chance: random.Random, data: bytearray) -> bytearray:
    for _ in range(chance.randint(1, 16)):
        if data:
            data[_place(chance, data)] ^= 1 << chance.randrange(8)
    return data


def _overwritten(chance: random.Random, data: bytearray) -> bytearray:
    start = _place(chance, data)
    length = min(chance.randint(1, RUN), len(data) - start)
    data[start : start + length] = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))
    return data


def _cut(chance: random.Random, data: bytearray) -> bytearray:
    return data[: chance.randint(1, max(len(data), 1))]


def _dropped(chance: random.Random, data: bytearray) -> bytearray:
    start = _place(chance, data)
    del data[start : start + chance.randint(1, 4 * RUN)]
    return data


def _doubled(chance: random.Random, data: bytearray) -> bytearray:
    start = _place(chance, data)
    part = data[start : start + chance.randint(1, 4 * RUN)]
    return data[:start] + part + data[start:]


def _large_number(chance: random.Random, data: bytearray) -> bytearray:
    start = _place(chance, data)
    number = struct.pack(chance.choice((">I", "<I")), chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)))
    data[start : start + 4] = number
    return data


def _appended(chance: random.Random, data: bytearray) -> bytearray:
    return data + chance.randbytes(chance.randint(1, 4096))


MUTATIONS: tuple[Mutation, ...] = (_flipped, _overwritten, _cut, _dropped, _doubled, _large_number, _appended)
