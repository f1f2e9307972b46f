"""Parameter sets of another number: the same pictures, bit for bit, whatever the coding of their samples."""

from pathlib import Path

import av
import numpy as np
import pytest

from encoder.codecs.nvenc.set_numbers import NUMBERS, renumbered
from encoder.splice import h264, hevc
from tests.support import judge, media

# CABAC and CAVLC, several slices, fields that look like start codes: gray pictures have long runs of zeros.
CODINGS = {
    "cabac": "bframes=2",
    "cavlc": "cabac=0:bframes=0",
    "slices": "slices=4",
    "delimiters": "aud=1",
    "lossless-zeros": "qp=51:aq-mode=0",
}
# The same of H.265, and pictures whose slices begin elsewhere: fields of the header that only some kinds have.
HEVC_CODINGS = {
    "open-gop": "bframes=3:b-adapt=0",
    "closed-gop": "open-gop=0:radl=2:bframes=3:b-adapt=0",
    "slices": "slices=3:bframes=0",
    "wavefront": "wpp=1:pools=2:ctu=16",
    "layers-in-time": "temporal-layers=3:bframes=3:b-adapt=0",
    "delimiters": "aud=1:repeat-headers=1",
    "zeros": "qp=51:aq-mode=0:scaling-list=default",
}


def units(data: bytes) -> list[bytes]:
    return data.split(b"\0\0\1")[1:]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("number", [NUMBERS[0], NUMBERS[-1]])
def test_pictures_are_the_same(tmp_path: Path, coding: str, number: int) -> None:
    source, made = tmp_path / "a.h264", tmp_path / "b.h264"
    picture = "testsrc2=size=96x64:rate=25:duration=2,format=yuv420p"
    options = ["-c:v", "libx264", "-preset", "veryfast", "-g", "10", "-x264-params", CODINGS[coding]]
    media.run("-f", "lavfi", "-i", picture, *options, "-bsf:v", "dump_extra", source)
    data = source.read_bytes()
    found = renumbered(data, number)
    made.write_bytes(found)
    assert np.array_equal(judge.pictures(made, "gray"), judge.pictures(source, "gray"))
    sets = [unit for unit in units(found) if unit[0] & 31 in (7, 8)]
    assert {h264.read_sps(unit.rstrip(b"\0")).number for unit in sets if unit[0] & 31 == 7} == {number}
    assert {h264.pps_number(unit) for unit in sets if unit[0] & 31 == 8} == {number}
    grown = [len(one) - len(other) for one, other in zip(units(found), units(data), strict=True)]
    assert set(grown) <= {0, 1, 2, 3, 4}
    with av.open(str(made), format="h264") as container:  # no complaint of a decoder that stops at the first
        container.streams.video[0].codec_context.options = {"err_detect": "explode"}
        assert len(list(container.decode(video=0))) == 50


@pytest.mark.parametrize("coding", HEVC_CODINGS)
def test_pictures_of_hevc_are_the_same(tmp_path: Path, coding: str) -> None:
    source, made = tmp_path / "a.hevc", tmp_path / "b.hevc"
    picture = "testsrc2=size=320x180:rate=25:duration=1,format=yuv420p"
    told = f"log-level=none:keyint=10:min-keyint=10:{HEVC_CODINGS[coding]}"
    media.run("-f", "lavfi", "-i", picture, "-c:v", "libx265", "-preset", "veryfast", "-x265-params", told, source)
    data = source.read_bytes()
    for number in (NUMBERS[0] + 1, NUMBERS[-1]):
        found = renumbered(data, number, "hevc")
        made.write_bytes(found)
        assert np.array_equal(judge.pictures(made, "gray"), judge.pictures(source, "gray"))
        kinds = {unit[0] >> 1 & 63: unit.rstrip(b"\0") for unit in units(found)}
        numbers = hevc.vps_number(kinds[32]), hevc.read_sps(kinds[33]).number, hevc.pps_number(kinds[34])
        assert numbers == (number - NUMBERS[0], number - NUMBERS[0], number)
        slices = [pair for pair in zip(units(found), units(data), strict=True) if pair[0][0] >> 1 & 63 < 32]
        assert {len(one) - len(other) for one, other in slices} <= {0, 1, 2}
        with av.open(str(made), format="hevc") as container:  # no complaint of a decoder that stops at the first
            container.streams.video[0].codec_context.options = {"err_detect": "explode"}
            assert len(list(container.decode(video=0))) == 25


@pytest.mark.parametrize(
    "unit",
    [b"", b"\x42", b"\x42\1\1", b"\x40\1\x10", b"\x44\1\x40", b"\x44\1\0", b"\x02\1\x80", b"\x26\1\x80\0", b"\x4e\1\5"],
    ids=repr,
)
def test_what_names_another_set_of_hevc_or_is_cut_off_stays(unit: bytes) -> None:
    assert renumbered(b"\0\0\1" + unit, 20, "hevc") == b"\0\0\1" + unit


@pytest.mark.parametrize(
    "unit",
    [b"", b"\x67", b"\x67\x64\0\x1e", b"\x68", b"\x65", b"\x65\0\0\0", b"\x68\x40", b"\x09\xf0", b"\x67\x64\0\x1e\x40"],
    ids=repr,
)
def test_what_names_another_set_or_is_cut_off_stays(unit: bytes) -> None:
    assert renumbered(b"\0\0\1" + unit, 20) == b"\0\0\1" + unit


def test_bytes_that_would_begin_a_unit_are_escaped() -> None:
    # A PPS behind whose numbers zeros stand: a byte of them moves next to the zeros of the new number.
    for byte in range(256):
        unit = bytes([0x68, 0xC0, 0, 0, 3, byte & 3, byte, 0x80])
        found = renumbered(b"\0\0\1" + unit, 15)
        assert found.count(b"\0\0\1") == 1
        assert b"\0\0\0" not in found
        assert b"\0\0\2" not in found
