"""Opening of files, by PyAV. Only containers that cannot name other files are opened.

A playlist (HLS, DASH, ffconcat, SDP) or an image pattern makes FFmpeg read files that nobody uploaded, whatever the
file's name says. So each kind of input has a list of demuxers that may open it, and FFmpeg is later told to use the one
that did, rather than to guess again.
"""

import contextlib
import io
import os
from collections.abc import Iterator, Mapping

import av
from av.container import InputContainer

from encoder.media import mp4_claims, wholeness
from encoder.media.info import Source, bad_input
from encoder.media.reading import note_reading
from servicekit import disk

MP4_DEMUXER = "mov"
WEBP_DEMUXER = "webp_anim"
VIDEO_DEMUXERS = (MP4_DEMUXER, "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "nut", "gif", "apng")
AUDIO_DEMUXERS = (
    *VIDEO_DEMUXERS,
    *("mp3", "wav", "w64", "flac", "aac", "aiff", "caf", "au", "amr", "ac3", "eac3", "dts", "wv", "ape", "tta"),
)
# Not TIFF, of which FFmpeg makes black where it knows not what is inside: see media/stills.py.
IMAGE_DEMUXERS = ("png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe", "gif", "apng", "mjpeg")
# AVIF and HEIC are of the family of MP4: what sets a still apart from a video is its brand.
HEIF_DEMUXERS = (MP4_DEMUXER,)
HEIF_BRANDS = ("avif", "avis", "heic", "heix", "heim", "heis", "mif1")

OPEN_SECONDS = 30.0
NO_OPTIONS: Mapping[str, str] = {}
# What is told of packets is believed, also where there are no pictures in them: nothing is decoded to open a file.
PACKETS_AS_STORED: Mapping[str, str] = {"fflags": "+noparse", "probesize": "32"}
DAMAGED = "the file is damaged; send it again, or convert it first."
NO_INDEX = (
    "it is MP4 without its index (moov), which is written last: the recording was not ended, or the file is cut off. "
    "Nothing can be read without it; send the file whole, or have the index rebuilt (untrunc does it, by another file "
    "of the same recorder)."
)
IMAGES = "PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF or GIF"
ACCEPTED = {
    VIDEO_DEMUXERS: ("a video", "MP4, MOV, MKV, WebM, AVI, MPEG-TS, FLV, WMV, GIF or animated WebP"),
    AUDIO_DEMUXERS: ("audio", "MP3, M4A, AAC, WAV, FLAC, Ogg or a video with sound"),
    IMAGE_DEMUXERS: ("an image", IMAGES),
}


@contextlib.contextmanager
def open_container(
    source: Source, demuxers: tuple[str, ...], head: bytes = b"", more: Mapping[str, str] = NO_OPTIONS
) -> Iterator[InputContainer]:
    """Open a file, or in its stead its `head`, by one of these demuxers, with `more` options of FFmpeg, until the block
    is left. Raises InvalidArgument, also for damage that the block meets; OSError for a full disk."""
    options = {"format_whitelist": ",".join(demuxers), "protocol_whitelist": "file", **more}
    note_reading(source.field)
    try:
        opened = io.BytesIO(head) if head else str(source.path)
        container = av.open(opened, mode="r", container_options=options, timeout=OPEN_SECONDS)
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise bad_input(source, _unreadable(source, demuxers)) from error
    with container:
        try:
            yield container
        except MemoryError:
            raise
        except (av.FFmpegError, IndexError) as error:  # streams of a damaged file can come and go
            if isinstance(error, OSError) and error.errno in disk.FULL:  # of what the block writes meanwhile
                raise OSError(error.errno, os.strerror(error.errno)) from error
            raise bad_input(source, DAMAGED) from error


def _unreadable(source: Source, demuxers: tuple[str, ...]) -> str:
    """Return what is wrong with a file that cannot be opened."""
    what, accepted = ACCEPTED.get(demuxers, ("", ""))
    if not what:
        return DAMAGED
    if MP4_DEMUXER in demuxers and wholeness.lacks_index(source.path):
        return NO_INDEX
    return f"the file is not {what} that can be read, or it is cut off; give {accepted}."


def check_claims(source: Source) -> None:
    """Raise InvalidArgument for a file of the MP4 family whose index claims more than the file can hold."""
    try:
        mp4_claims.check_claims(source.path)
    except mp4_claims.TooManySamples as error:
        text = "its index claims more pictures and samples than the file can hold; convert it first."
        raise bad_input(source, text) from error


def demuxer_of(container: InputContainer) -> str:
    """Return the name by which FFmpeg is told to use the demuxer that opened a file."""
    return str(container.format.name.split(",")[0])
