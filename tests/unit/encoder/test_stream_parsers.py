"""What is read of files beside FFmpeg: programs of transport streams, sizes of VP9, ends of files; built by hand."""

import struct
from pathlib import Path

import pytest

from encoder.media.programs import read_programs
from encoder.media.vp9 import Vp9Sizes
from encoder.media.wholeness import falls_short, is_cut_off, is_still_cut_off, lacks_index
from tests.support.growth import assert_grows_gently


def packet(pid: int, payload: bytes, *, starts: bool = True, fill: bytes = b"\xff") -> bytes:
    return (bytes([0x47, (0x40 if starts else 0) | pid >> 8, pid & 255, 0x10]) + payload).ljust(188, fill)


def section(table: int, number: int, body: bytes) -> bytes:
    content = struct.pack(">HBBB", number, 0xC1, 0, 0) + body + bytes(4)
    return bytes([table]) + struct.pack(">H", 0xB000 | len(content)) + content


def transport_stream(programs: dict[int, list[int]], descriptors: int = 0) -> bytes:
    """A PAT and the PMT of each program, which may be longer than a packet."""
    pat = section(0, 1, b"".join(struct.pack(">HH", n, 0xE000 | 0x100 + n) for n in programs))
    data = packet(0, b"\0" + pat)
    for number, pids in programs.items():
        streams = b"".join(
            bytes([0x1B]) + struct.pack(">HH", 0xE000 | pid, 0xF000 | descriptors) + bytes(descriptors) for pid in pids
        )
        pmt = b"\0" + section(2, number, struct.pack(">HH", 0xE000 | pids[0], 0xF000) + streams)
        data += packet(0x100 + number, pmt[:184])
        for start in range(184, len(pmt), 184):
            data += packet(0x100 + number, pmt[start : start + 184], starts=False)
    return data


@pytest.mark.parametrize("descriptors", [0, 60])
@pytest.mark.parametrize("stride", [188, 192, 204])
def test_programs_are_found(tmp_path: Path, stride: int, descriptors: int) -> None:
    programs = {1: [0x200, 0x201], 2: [0x300, 0x301, 0x302, 0x303]}
    data = transport_stream(programs, descriptors)
    before, behind = (bytes(4), b"") if stride == 192 else (b"", bytes(stride - 188))
    packets = [before + data[at : at + 188] + behind for at in range(0, len(data), 188)]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(packets) * 3)
    assert set(read_programs(path)) == {frozenset(pids) for pids in programs.values()}


def test_what_is_no_transport_stream_has_no_programs(tmp_path: Path) -> None:
    for data in (b"", b"G" * 10, bytes(range(256)) * 40, packet(0, b"\0\0\xb0\xff") * 9):
        path = tmp_path / "v.ts"
        path.write_bytes(data)
        assert read_programs(path) == ()


def test_reading_programs_grows_with_the_file(tmp_path: Path) -> None:
    def make(count: int) -> Path:
        path = tmp_path / f"{count}.ts"
        path.write_bytes((transport_stream({1: [0x200]}) + packet(0, b"\0\0\xb0\x01") + b"\x47" * 188) * count)
        return path

    assert_grows_gently(make, read_programs, 200)


def frame(*fields: tuple[int, int]) -> bytes:
    """The header of a VP9 frame of profile 0, of values and the bits that each takes."""
    bits = "10" + "00" + "".join(f"{value:0{width}b}" for value, width in fields)
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def key(width: int, height: int) -> bytes:
    return frame((0, 1), (0, 1), (1, 1), (0, 1), (0x498342, 24), (1, 3), (0, 1), (width - 1, 16), (height - 1, 16))


def inter(found: int, size: tuple[int, int] | None = None, kept: int = 0, slot: int = 0) -> bytes:
    """A frame that has the size of the first frame it refers to (`found`), or one of its own."""
    refs = [(slot, 3), (0, 1)] * 3
    own = [(0, 1)] * 2 + [(side - 1, 16) for side in size] if size else []
    return frame((0, 1), (1, 1), (1, 1), (0, 1), (0, 2), (kept, 8), *refs, (found, 1), *own)


def test_sizes_of_vp9_change_with_any_frame() -> None:
    sizes = Vp9Sizes()
    assert sizes.read(key(640, 360)) == [(640, 360)]
    assert sizes.read(inter(1)) == [(640, 360)]
    assert sizes.read(inter(0, (320, 180), kept=0b10)) == [(320, 180)]
    assert sizes.read(inter(1, slot=1)) == [(320, 180)]
    assert sizes.read(frame((1, 1), (1, 3))) == [(320, 180)]  # shown once more
    one, other = inter(0, (160, 90), kept=0b100), inter(1, slot=2)
    index = bytes([0b11000001, len(one), len(other), 0b11000001])
    assert sizes.read(one + other + index) == [(160, 90), (160, 90)]
    assert sizes.read(b"") == []


def test_reading_sizes_of_vp9_grows_with_the_frames() -> None:
    def read(packets: list[bytes]) -> None:
        sizes = Vp9Sizes()
        for one in packets:
            sizes.read(one)

    assert_grows_gently(lambda count: [key(640, 360) + bytes(100)] * count, read, 500)


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I4s", (8 + len(body)) if size is None else size, kind) + body


SEGMENT = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67"
# Of each file: its demuxer, its bytes, and whether it is cut off.
FILES = {
    "mp4": ("mov", box(b"ftyp") + box(b"moov") + box(b"mdat", bytes(9)), False),
    "cut mp4": ("mov", box(b"ftyp") + box(b"moov") + box(b"mdat", bytes(9), 99), True),
    "mp4 and more": ("mov", box(b"ftyp") + box(b"moov") + b"TAG of a tagger, 1234567890", False),
    "endless mp4": ("mov", box(b"moov") + box(b"mdat", bytes(9), 0), False),
    "mkv": ("matroska", SEGMENT + b"\x85" + bytes(5), False),
    "cut mkv": ("matroska", SEGMENT + b"\x41\x00" + bytes(5), True),
    "live mkv": ("matroska", SEGMENT + b"\x01" + b"\xff" * 7 + bytes(5), False),
    "wav": ("wav", b"RIFF" + struct.pack("<I", 8) + bytes(8), False),
    "cut wav": ("wav", b"RIFF" + struct.pack("<I", 800) + bytes(8), True),
    "piped wav": ("wav", b"RIFF\xff\xff\xff\xff" + bytes(8), False),
    "cut aiff": ("aiff", b"FORM" + struct.pack(">I", 800) + bytes(8), True),
    "flv": ("flv", b"FLV" + bytes(10) + b"\x09\0\0\x02" + bytes(9) + struct.pack(">I", 13), False),
    "cut flv": ("flv", b"FLV" + bytes(10) + b"\x09\0\0\x92" + bytes(90), True),
    "any": ("ogg", bytes(9), False),
    "empty": ("mov", b"", False),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_end_too_early(tmp_path: Path, name: str) -> None:
    demuxer, data, expected = FILES[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    assert is_cut_off(path, demuxer) == expected


def test_lengths_that_packets_do_not_reach(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"ID3\4\0\0\0\0\0\4" + bytes(4) + b"\xff\xfb\x90\x64" + bytes(32) + b"Xing")
    assert falls_short(path, "mp3", 60, 40)
    assert not falls_short(path, "mp3", 60, 59.5)
    assert falls_short(path, "flac", 2, 1.2)
    assert not falls_short(path, "mpegts", 60, 40)
    path.write_bytes(b"\xff\xfb\x90\x64" + bytes(99))
    assert not falls_short(path, "mp3", 60, 40)  # which was guessed from the bit rate


def test_mp4_without_its_index(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data, expected in (
        (box(b"ftyp") + box(b"mdat", bytes(9), 99), True),
        (box(b"ftyp") + box(b"moov"), False),
        (b"text", False),
        (b"", False),
    ):
        path.write_bytes(data)
        assert lacks_index(path) == expected


def test_stills_without_their_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    thumbnail = b"\xff\xd8\xff\xda..\xff\xd9"
    for data, expected in (
        (b"\xff\xd8" + thumbnail + b"\xff\xda...\xff\xd9more", False),
        (b"\xff\xd8" + thumbnail + b"\xff\xda...", True),
        (b"\x89PNG\r\n\x1a\n IDAT.. IEND", False),
        (b"\x89PNG\r\n\x1a\n IDAT..", True),
        (b"RIFF" + struct.pack("<I", 900) + b"WEBPVP8 ", True),
        (b"BM" + bytes(20), False),
    ):
        path.write_bytes(data)
        assert is_still_cut_off(path) == expected, data
