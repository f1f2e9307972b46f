"""Small files that claim much: each would take gigabytes where it is believed."""

import struct

from encoder.captions.font_files import FIRA

CMAP_12 = 12


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def claiming_movie(movie: bytes, samples: int) -> bytes:
    """An MP4 of FFmpeg's, its index last, whose tracks claim so many samples of one byte each."""
    place = movie.rindex(b"moov") - 4
    return movie[:place] + _claiming(movie[place:], samples)


def _claiming(box: bytes, samples: int) -> bytes:
    kind, body = box[4:8], box[8:]
    if kind == b"stsz":
        return _box(kind, struct.pack(">III", 0, 1, samples))
    if kind == b"stts":
        return _box(kind, struct.pack(">IIII", 0, 1, samples, 1))
    if kind == b"stsc":
        return _box(kind, struct.pack(">IIIII", 0, 1, 1, samples, 1))
    if kind == b"stco":
        return _box(kind, struct.pack(">III", 0, 1, 48))
    if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        return _box(kind, *(_claiming(child, samples) for child in _children(body)))
    return box


def _children(body: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(body):
        size = struct.unpack_from(">I", body, start)[0]
        found.append(body[start : start + size])
        start += size
    return found


def _tables(font: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">H", font, 4)
    entries = [struct.unpack_from(">4sIII", font, 12 + 16 * number) for number in range(count)]
    return {tag: font[offset : offset + length] for tag, _, offset, length in entries}


def font(cmap: bytes | None = None, name: bytes | None = None, at: int = 0) -> bytes:
    """A small font, with tables of its own where they are given, that lies at a place in a file."""
    whole = _tables(FIRA[0].read_bytes())
    kept = {tag: whole[tag] for tag in (b"head", b"hhea", b"maxp", b"OS/2", b"post", b"name", b"cmap")}
    kept |= {tag: data for tag, data in ((b"cmap", cmap), (b"name", name)) if data is not None}
    head, body = struct.pack(">IHHHH", 0x00010000, len(kept), 0, 0, 0), b""
    start = at + 12 + 16 * len(kept)
    for tag, data in sorted(kept.items()):
        head += struct.pack(">4sIII", tag, 0, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    return head + body


def many_fonts() -> bytes:
    """Honest subtitles that take long to plan: 64 fonts are to be made of Chinese, Japanese and Korean letters."""
    styles = "".join(f"Style: S{number},Family {number}\n" for number in range(64))
    letters = "".join(map(chr, (*range(0x3400, 0x4DB0), *range(0x4E00, 0x9FF0), *range(0xAC00, 0xD7A4))))
    script = "[Script Info]\n\n[V4+ Styles]\nFormat: Name, Fontname\n{}\n[Events]\nFormat: Start, End, Text\n{}\n"
    return script.format(styles, f"Dialogue: 0:00:00.00,0:00:01.00,{letters}").encode()


def letters(groups: int, each: int, subtables: int = 1) -> bytes:
    """A table of so many ranges of letters, as many in each, named by so many subtables."""
    ranges = b"".join(struct.pack(">III", 32 + n * each, 31 + (n + 1) * each, 1) for n in range(groups))
    table = struct.pack(">HHIII", CMAP_12, 0, 16 + len(ranges), 0, groups) + ranges
    first = 4 + 8 * subtables
    entries = [struct.pack(">HHI", 3, 10, first + number * len(table)) for number in range(subtables)]
    return struct.pack(">HH", 0, subtables) + b"".join(entries) + table * subtables


def collection(faces: int, *, same: bool, cmap: bytes | None = None) -> bytes:
    """A collection of so many fonts: one and the same, or each a copy."""
    size = 12 + 4 * faces
    one = font(cmap, at=size)
    if same:
        return struct.pack(">4sII", b"ttcf", 0x00010000, faces) + struct.pack(">I", size) * faces + one
    starts = [size + number * len(one) for number in range(faces)]
    copies = b"".join(font(cmap, at=start) for start in starts)
    return struct.pack(f">4sII{faces}I", b"ttcf", 0x00010000, faces, *starts) + copies


def long_names(records: int, length: int) -> bytes:
    """A table of names that all are the same text."""
    text = b"\0x" * (length // 2)
    entries = b"".join(struct.pack(">HHHHHH", 3, 1, 0x409, 1, len(text), 0) for _ in range(records))
    return struct.pack(">HHH", 0, records, min(6 + len(entries), 65_535)) + entries + text
