"""Small files that claim much are refused by what they claim, before anything is made of it."""

import operator
import struct
import tracemalloc
from pathlib import Path

import pytest

from encoder.captions import font_bounds
from encoder.captions.faces import read_faces
from encoder.captions.font_bounds import FontError
from encoder.media import mp4_claims
from encoder.media.mp4_claims import TooManySamples, check_claims
from tests.support import bombs
from tests.support.growth import assert_grows_gently

MEGABYTE = 1024 * 1024
WHOLE = bombs.letters(1, font_bounds.MAX_CODE - 31)


def index(*parts: bytes) -> bytes:
    """A file of the MP4 family with one track."""
    body = b"".join(parts)
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        body = struct.pack(">I4s", 8 + len(body), kind) + body
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + body


SIZES = struct.pack(">I4sIII", 20, b"stsz", 0, 1, 60_000_000)
TIMES = struct.pack(">I4sIIII", 24, b"stts", 0, 1, 60_000_000, 1)
RUN = struct.pack(">I4sII", 16, b"trun", 0, 60_000_000)


@pytest.mark.parametrize("part", [SIZES, TIMES, RUN, TIMES.replace(b"stts", b"ctts"), SIZES.replace(b"stsz", b"stz2")])
def test_samples_that_the_file_cannot_hold_are_refused(tmp_path: Path, part: bytes) -> None:
    (tmp_path / "f").write_bytes(index(part))
    with pytest.raises(TooManySamples):
        check_claims(tmp_path / "f")


@pytest.mark.parametrize("data", [
    b"",
    b"no movie",
    b"\0\0\0\x08moov",
    b"\0\0\0\xffmoov" + bytes(10),
    index(SIZES)[:-8],
    index(struct.pack(">I4s", 8, b"stts")),
    struct.pack(">I4s", 8, b"moov") * 1000,
    b"".join(struct.pack(">I4s", 8 * (5000 - n), b"moov") for n in range(5000)),
])  # fmt: skip
def test_what_is_damaged_is_left_to_the_demuxer(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    check_claims(tmp_path / "f")


def test_an_honest_number_passes(tmp_path: Path) -> None:
    # Sound without compression has a sample in every byte or two.
    (tmp_path / "f").write_bytes(index(SIZES) + struct.pack(">I4s", 8 + 2 * MEGABYTE, b"mdat") + bytes(2 * MEGABYTE))
    check_claims(tmp_path / "f")


def test_a_walk_grows_evenly(tmp_path: Path) -> None:
    def prepare(size: int) -> object:
        path = tmp_path / str(size)
        path.write_bytes(struct.pack(">I4s", 8, b"free") * size)
        return lambda: mp4_claims.check_claims(path)

    assert_grows_gently(prepare, operator.call, 5000)  # type: ignore[arg-type]


def refused(folder: Path, data: bytes, words: str) -> None:
    """The font is refused, and next to nothing is kept of it on the way."""
    (folder / "bomb.ttc").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(FontError, match=words):
            read_faces(folder / "bomb.ttc")
        assert tracemalloc.get_traced_memory()[1] < 64 * MEGABYTE + 4 * len(data)
    finally:
        tracemalloc.stop()


def test_equal_faces_count_once(tmp_path: Path) -> None:
    (tmp_path / "same.ttc").write_bytes(bombs.collection(25, same=True))
    assert len(read_faces(tmp_path / "same.ttc")) == 1


def test_faces_share_their_letters(tmp_path: Path) -> None:
    (tmp_path / "two.ttc").write_bytes(bombs.collection(2, same=False))
    one, other = read_faces(tmp_path / "two.ttc")
    assert (one.number, other.number) == (0, 1)
    assert one.letters == other.letters


@pytest.mark.parametrize("same", [True, False])
def test_too_many_faces_are_refused(tmp_path: Path, same: bool) -> None:
    count = font_bounds.MAX_OFFSETS + 1 if same else font_bounds.MAX_FACES + 1
    refused(tmp_path, bombs.collection(count, same=same, cmap=bombs.letters(1, 1)), "fonts")


def test_all_faces_together_have_a_bounded_number_of_letters(tmp_path: Path) -> None:
    refused(tmp_path, bombs.collection(5, same=False, cmap=WHOLE), "too many letters")


def test_a_face_has_a_bounded_number_of_letters(tmp_path: Path) -> None:
    refused(tmp_path, bombs.font(bombs.letters(2000, font_bounds.MAX_CODE - 31)), "table of letters")
    refused(tmp_path, bombs.font(bombs.letters(1, font_bounds.MAX_CODE - 31, subtables=5)), "table of letters")
    refused(tmp_path, bombs.font(bombs.letters(1, 1, subtables=200)), "table of letters")


def test_names_are_bounded(tmp_path: Path) -> None:
    refused(tmp_path, bombs.font(name=bombs.long_names(5400, 60_000)), "names")
    refused(tmp_path, bombs.font(name=bombs.long_names(60_000, 2)), "names")


@pytest.mark.parametrize("name", ["a,b", "a\nDialogue: 0", "@a", "{\\b1}"])
def test_a_name_cannot_write_into_a_script(tmp_path: Path, name: str) -> None:
    text = name.encode("utf-16-be")
    table = struct.pack(">HHHHHHHHH", 0, 1, 18, 3, 1, 0x409, 1, len(text), 0) + text
    (tmp_path / "font.ttf").write_bytes(bombs.font(name=table))
    (face,) = read_faces(tmp_path / "font.ttf")
    assert not set(face.family) & set("@,{}\\\n")
    assert face.family.casefold() in face.names
