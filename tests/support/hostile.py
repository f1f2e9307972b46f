"""Files that name other files or hosts, dressed as media: each would have FFmpeg read what nobody sent it."""

import struct
import zlib
from pathlib import Path

# Each names a target, a path or a URL, once.
TEXTS = {
    "m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{target}\n#EXT-X-ENDLIST\n",
    "m3u8-master": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{target}"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"\n{target}\n',
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 33\n"
    "a=control:{target}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016">'
    "<Id>{target}</Id></CompositionPlaylist>",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="64">'
    '<image xlink:href="{target}" width="64" height="64"/></svg>',
    "avisynth": 'DirectShowSource("{target}")\n',
    "sequence": "{target}/frame%03d.png",
    "xspf": '<playlist xmlns="http://xspf.org/ns/0/"><trackList><track><location>{target}</location></track></trackList>'
    "</playlist>",
}


def text(kind: str, target: str) -> bytes:
    """A file of TEXTS that names `target`."""
    return TEXTS[kind].format(target=target).encode()


def external(movie: bytes, target: Path) -> bytes:
    """A MOV of FFmpeg's, its index last, as one whose samples lie in another file: every data reference becomes an
    alias of `target` (QuickTime File Format, "Data reference atoms" and the alias records of the Mac OS)."""
    place = movie.rindex(b"moov") - 4
    return movie[:place] + _referring(movie[place:], _alias(str(target)))


def huge_png(side: int) -> bytes:
    """A PNG of a few bytes that says to be `side` pixels square."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(64)))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _alias(path: str) -> bytes:
    encoded = path.encode()
    even = encoded + b"\0" * (len(encoded) % 2)
    # Volume and name of an alias have fixed places, left empty here; a path comes in the list behind them, as kind 2;
    # −1 ends the list.
    fixed = bytes(10) + b"\0" + bytes(27) + bytes(12) + b"\0" + bytes(63) + bytes(16) + bytes(4) + bytes(16)
    listed = struct.pack(">hH", 2, len(encoded)) + even + struct.pack(">hH", -1, 0)
    return b"\0\0\0\0" + fixed + listed


def _referring(box: bytes, alias: bytes) -> bytes:
    """A box with all its data references made aliases."""
    kind, body = box[4:8], box[8:]
    if kind == b"dref":
        body = body[:4] + struct.pack(">I", 1) + struct.pack(">I4s", 8 + len(alias), b"alis") + alias
    elif kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        body = b"".join(_referring(child, alias) for child in _children(body))
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _children(body: bytes) -> list[bytes]:
    found, start = [], 0
    while start < len(body):
        size = struct.unpack_from(">I", body, start)[0]
        found.append(body[start : start + size])
        start += size
    return found
