"""Content codings: what comes of each is what went in, in bounded pieces and no more than is honest."""

import contextlib
import gzip
import os
import zlib

import pytest

from gateway.sources.coding import FREE_BYTES, STEP_BYTES, BadCoding, Overpacked, Unpacker
from tests.support.growth import assert_grows_gently


def raw_deflate(data):
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


PACK = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "raw": raw_deflate}
DATA = {
    "nothing": b"",
    "a byte": b"x",
    "text": b"1\n00:00:00,000 --> 00:00:01,000\nHello\n\n" * 9_000,
    "noise": os.urandom(150_000),
    "several pieces": os.urandom(1000) * (3 * STEP_BYTES // 1000),
}


def unpacked(coding, packed, part_bytes):
    unpacker = Unpacker("deflate" if coding == "raw" else coding)
    parts = (packed[start : start + part_bytes] for start in range(0, len(packed), part_bytes))
    pieces = [piece for part in parts for piece in unpacker.unpack(part)]
    unpacker.finish()
    assert all(len(piece) <= STEP_BYTES for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
@pytest.mark.parametrize("coding", PACK)
def test_what_went_in_comes_out_however_it_is_cut(coding, data):
    packed = PACK[coding](data)
    for part_bytes in (1 if len(packed) < 100 else 1000, 65536):
        assert unpacked(coding, packed, part_bytes) == data


def test_a_file_may_have_several_members_and_what_is_behind_is_left_alone():
    large = b"a" * 3 * STEP_BYTES
    for part_bytes in (7, 65536):
        assert unpacked("gzip", gzip.compress(large) + gzip.compress(b"b") + b"junk", part_bytes) == large + b"b"
    members = gzip.compress(b"a") + gzip.compress(b"b")
    for part_bytes in (1, 7, 65536):
        assert unpacked("gzip", members, part_bytes) == b"ab"
        assert unpacked("gzip", members + b"\0\0\x1fjunk", part_bytes) == b"ab"
        assert unpacked("deflate", zlib.compress(b"a") + b"junk", part_bytes) == b"a"


@pytest.mark.parametrize("coding", PACK)
def test_what_is_cut_off_or_of_another_kind_is_refused(coding):
    packed = PACK[coding](b"words and words and words " * 20)
    with pytest.raises(BadCoding):
        unpacked(coding, packed[:-1], 65536)
    with pytest.raises(BadCoding):
        unpacked(coding, b"\x07 plain text", 65536)


def test_a_bomb_is_refused_before_it_is_large():
    made = gzip.compress(b"\0" * (2 * FREE_BYTES))
    sizes = []
    with pytest.raises(Overpacked):
        sizes.extend(map(len, Unpacker("gzip").unpack(made)))
    assert sum(sizes) <= FREE_BYTES


@pytest.mark.parametrize("size_bytes", [0, 50, 500])
def test_members_grow_gently(size_bytes):
    unit = gzip.compress(os.urandom(size_bytes))

    def unpack(packed):
        with contextlib.suppress(BadCoding, Overpacked):
            unpacked("gzip", packed, 65536)

    assert_grows_gently(lambda size: unit * (size // len(unit)), unpack, 2 * 65536)
