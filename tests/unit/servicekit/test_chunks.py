"""Sizes and digests of files on a stream."""

import hashlib

import pytest

from servicekit.chunks import Checksum, ChecksumBeside, rechunk
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


def test_a_digest_beside_the_bytes_is_that_of_all_of_them():
    beside, parts = ChecksumBeside(), [b"a" * 100_000, b"", b"b" * 3, b"c" * 50_000]
    for part in parts:
        beside.add(part)
    assert beside.size_bytes == sum(map(len, parts))
    beside.whole().verify("it", size_bytes=beside.size_bytes, sha256=hashlib.sha256(b"".join(parts)).hexdigest())
    beside.close()
    beside.add(b"too late")  # of a call that is being ended
    assert beside.whole().size_bytes == sum(map(len, parts))


@pytest.mark.parametrize("parts", [[b""], [b"abcdefg"], [b"a"] * 7, [b"abc", b"defg"], [b"abcd", b"efg"], []])
async def test_chunks_are_recut_without_a_byte_changed(parts):
    async def source():
        for part in parts:
            yield part

    cut = [chunk async for chunk in rechunk(source(), 3)]
    assert b"".join(cut) == b"".join(parts)
    assert all(len(chunk) == 3 for chunk in cut[:-1])
    assert all(cut)
