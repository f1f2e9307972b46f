"""Fonts of any kind: faces that can be used, or an error, in bounded time."""

import contextlib
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from encoder.captions.faces import drawn_letters, read_faces
from encoder.captions.font_bounds import FontError
from encoder.captions.font_files import FIRA
from encoder.captions.font_making import rename
from tests.support.fuzz import bounded, fuzz

WHOLE = FIRA[0].read_bytes()
# The directory of tables, from which everything hangs, is at the front; further on lies what is spelled out of it.
PLACES = st.integers(0, 400) | st.integers(0, len(WHOLE) - 1)
EDITS = st.lists(st.tuples(PLACES, st.binary(min_size=1, max_size=8)), min_size=1, max_size=12)


def check(data):
    with tempfile.TemporaryDirectory() as folder, bounded(len(data)), contextlib.suppress(FontError):
        path = Path(folder) / "font.ttf"
        path.write_bytes(data)
        for face in read_faces(path):
            rename(face, "Other", 400, {ord("A")})
            drawn_letters(face, {ord("A")})


@fuzz(examples=10, edits=EDITS)
def test_damaged_fonts(edits):
    data = bytearray(WHOLE)
    for place, new in edits:
        data[place : place + len(new)] = new
    check(bytes(data))


@fuzz(examples=5, end=st.integers(0, len(WHOLE)))
def test_fonts_that_are_cut_off(end):
    check(WHOLE[:end])


@fuzz(
    count=st.integers(0, 2**32 - 1),
    places=st.lists(st.integers(0, 2**32 - 1), max_size=30),
    rest=st.binary(max_size=200),
)
def test_collections(count, places, rest):
    head = b"ttcf\0\1\0\0" + count.to_bytes(4, "big")
    check(head + b"".join(place.to_bytes(4, "big") for place in places) + rest)
