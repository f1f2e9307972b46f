"""Sizes and digests of files on a stream."""

import hashlib

import pytest

from servicekit.chunks import Checksum, rechunk
from servicekit.errors import DataLoss


def tally(data):
    made = Checksum()
    made.add(data)
    return made


def test_what_was_announced_is_held_against_what_came():
    made = tally(b"abc")
    made.verify("a", size_bytes=3, sha256=hashlib.sha256(b"abc").hexdigest().upper())
    made.verify("a", size_bytes=None, sha256="")
    with pytest.raises(DataLoss, match="4 bytes were announced and 3 came"):
        made.verify("a", size_bytes=4, sha256="")
    with pytest.raises(DataLoss, match="SHA-256"):
        made.verify("a", size_bytes=3, sha256=hashlib.sha256(b"abd").hexdigest())


@pytest.mark.parametrize("parts", [[b""], [b"abcdefg"], [b"a"] * 7, [b"abc", b"defg"], [b"abcd", b"efg"], []])
async def test_chunks_are_recut_without_a_byte_changed(parts):
    async def source():
        for part in parts:
            yield part

    cut = [chunk async for chunk in rechunk(source(), 3)]
    assert b"".join(cut) == b"".join(parts)
    assert all(len(chunk) == 3 for chunk in cut[:-1])
    assert all(cut)
