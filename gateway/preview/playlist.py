"""Playlists of HTTP Live Streaming, of fragmented MP4. Pure. Source: RFC 8216; fragmented MP4: section 3.3."""

from collections.abc import Callable, Iterator

from gateway.preview.film import PlayedFilm, PlayedPiece, PlayedTrack

CONTENT_TYPE = "application/vnd.apple.mpegurl"
# EXT-X-MAP in playlists of media.
VERSION = 7
HEAD = ("#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS")
# A player would else begin with the latest piece. In playlists of media alone: in one that names others FFmpeg refuses
# it, though it may stand there.
FROM_START = "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"
GROUP = "sound"

UrlOf = Callable[[PlayedPiece], str]


def master_playlist(film: PlayedFilm, picture_url: str, sound_url: str) -> str:
    """Return the playlist that names those of picture and sound; the sound is left out while it is not there."""
    sound, lines = film.ready_sound, [*HEAD]
    if sound is not None:
        named = f'TYPE=AUDIO,GROUP-ID="{GROUP}",NAME="{GROUP}",DEFAULT=YES,AUTOSELECT=YES,URI="{sound_url}"'
        lines.append(f"#EXT-X-MEDIA:{named}")
    lines += [f"#EXT-X-STREAM-INF:{','.join(_stream(film.picture, sound))}", picture_url]
    return _text(lines)


def media_playlist(film: PlayedFilm, track: PlayedTrack, url_of: UrlOf) -> str:
    """Return the playlist of a track: it grows until the film is over, and never changes else. Source: RFC 8216,
    6.2.1."""
    is_over = track.is_whole or film.is_over
    lines = [
        *HEAD,
        f"#EXT-X-TARGETDURATION:{film.target_seconds}",
        "#EXT-X-PLAYLIST-TYPE:EVENT",
        FROM_START,
        *_segments(track, url_of),
        *(["#EXT-X-ENDLIST"] if is_over else []),
    ]
    return _text(lines)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def _segments(track: PlayedTrack, url_of: UrlOf) -> Iterator[str]:
    header = None
    for piece in track.pieces:
        playback, url = piece.playback, url_of(piece)
        if playback.header_id != header:
            yield f'#EXT-X-MAP:URI="{url}",BYTERANGE="{playback.header_bytes}@0"'
            header = playback.header_id
        for offset, size, length in piece.segments:
            yield f"#EXTINF:{length / 1000:.3f},"
            yield f"#EXT-X-BYTERANGE:{size}@{offset}"
            yield url


def _stream(picture: PlayedTrack, sound: PlayedTrack | None) -> Iterator[str]:
    tracks = [picture, *([sound] if sound else [])]
    yield f"BANDWIDTH={sum(map(_peak_bits, tracks))}"
    first = picture.pieces[0].playback
    yield f"RESOLUTION={first.width}x{first.height}"
    codecs = [track.pieces[0].playback.codec for track in tracks]
    if all(codecs):
        yield f'CODECS="{",".join(codecs)}"'
    if sound:
        yield f'AUDIO="{GROUP}"'


def _peak_bits(track: PlayedTrack) -> int:
    """Return the most bits a second of any segment so far."""
    found = (8000 * size // max(length, 1) for piece in track.pieces for _, size, length in piece.segments)
    return max(found, default=0)
