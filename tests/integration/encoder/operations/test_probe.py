"""probe, judged by what FFmpeg was told to make: videos, sound, images, subtitles, and what is none of them."""

from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import probe_pb2, video_pb2
from tests.support import encoder_harness, media, still_samples

Client = encoder_harness.Client
Report = probe_pb2.MediaReport
X264 = ("-c:v", "libx264", "-preset", "ultrafast")
SIZE = "96x64"


async def probed(client: Client, path: Path, **options: bool) -> encoder_pb2.Summary:
    """What is told of a file, which makes none."""
    request = video_pb2.ProbeRequest(url="v", **options)
    done = await client.encode(video_pb2.Operation(probe=request), {"url": path})
    assert done.summary is not None
    assert (done.data, done.summary.content_type, done.summary.HasField("media")) == (b"", "", True)
    return done.summary


def reasons(summary: encoder_pb2.Summary) -> list[str]:
    return [warning.reason for warning in summary.warnings]


@pytest.fixture(scope="session")
def film(media_dir: Path) -> Path:
    """A second of HDR in ten bits, turned, with sound in stereo and two tracks of subtitles."""
    flat, path = media_dir / "flat.mkv", media_dir / "film.mkv"
    subtitles = media.srt(media_dir / "film.srt", [(0.1, 0.9, "Hello")])
    hdr = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv"
    sound = "sine=frequency=440:duration=1,pan=stereo|c0=c0|c1=c0,volume=-6dB"
    inputs = ("-f", "lavfi", "-i", f"testsrc2=size={SIZE}:rate=30000/1001:duration=1.001", "-f", "lavfi", "-i", sound)
    media.run(*inputs, "-vf", hdr, *X264, "-c:a", "aac", "-ar", "48000", flat)
    tags = ("-metadata:s:a:0", "language=por", "-metadata:s:s:0", "language=eng", "-disposition:s:0", "forced")
    taken = ("-map", "0", "-map", "1", "-map", "1")
    media.run("-display_rotation", "90", "-i", flat, "-i", subtitles, *taken, "-c", "copy", *tags, path)
    return path


async def test_a_video_is_told_in_full(client: Client, film: Path) -> None:
    summary = await probed(client, film, loudness=True)
    told = summary.media
    assert (told.kind, told.container, told.size_bytes, told.whole) == (
        Report.VIDEO,
        "matroska",
        film.stat().st_size,
        True,
    )
    assert told.duration == pytest.approx(1.0, abs=0.05)
    assert told.bit_rate == pytest.approx(told.size_bytes * 8 / told.duration, rel=0.01)
    (video,) = told.video
    assert (video.codec, video.profile, video.bit_depth, video.pixel_format) == ("h264", "High 10", 10, "yuv420p10le")
    assert (video.width, video.height, video.rotation, video.shown_width, video.shown_height) == (96, 64, 270, 64, 96)
    assert (video.frames, video.variable_frame_rate, video.pixel_aspect) == (30, False, 1)
    assert video.frame_rate == pytest.approx(29.97, abs=0.02)
    color = video.color
    assert (color.primaries, color.transfer, color.matrix) == ("bt2020", "smpte2084", "bt2020nc")
    assert (color.range, color.hdr) == ("limited", "PQ")
    (audio,) = told.audio
    assert (audio.codec, audio.sample_rate, audio.channels, audio.layout) == ("aac", 48000, 2, "stereo")
    assert (audio.language, audio.taken, audio.decodable) == ("por", True, True)
    # A sine of FFmpeg has an amplitude of an eighth, here 6 dB less: 24 dB below full scale, and heard in both ears.
    assert audio.loudness.integrated_lufs == pytest.approx(-24.7, abs=0.7)
    assert audio.loudness.true_peak_dbtp == pytest.approx(-24.1, abs=1.2)
    assert [(track.codec, track.language, track.forced, track.pictures) for track in told.subtitles] == [
        ("subrip", "eng", True, False),
        ("subrip", "", False, False),
    ]
    assert not summary.warnings


async def test_frames_of_differing_length_and_pixels_that_are_not_square(client: Client, media_dir: Path) -> None:
    path = media_dir / "varying.mp4"
    source = f"testsrc2=size={SIZE}:rate=25:duration=1"
    varying = ("-vf", "select='lt(n,10)+not(mod(n,3))',setsar=4/3", "-fps_mode", "vfr", "-pix_fmt", "yuv420p")
    media.run("-f", "lavfi", "-i", source, *varying, *X264, path)
    (video,) = (await probed(client, path)).media.video
    assert (video.variable_frame_rate, video.frames, video.shown_width) == (True, 15, 128)
    assert video.pixel_aspect == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("suffix", "container", "codec", "whole"),
    [("wav", "wav", "pcm_s16le", True), ("mp3", "mp3", "mp3", None), ("ogg", "ogg", "vorbis", None)],
)
async def test_sound(client: Client, tmp_path: Path, suffix: str, container: str, codec: str, whole: bool) -> None:
    path = media.tone(tmp_path / f"tone.{suffix}", 1)
    told = (await probed(client, path)).media
    assert (told.kind, told.container, told.audio[0].codec) == (Report.AUDIO, container, codec)
    assert (told.whole if told.HasField("whole") else None) is whole
    assert told.duration == pytest.approx(1.0, abs=0.06)
    assert not told.audio[0].HasField("loudness")


async def test_a_file_that_is_cut_off_is_told(client: Client, tmp_path: Path) -> None:
    path, cut = tmp_path / "v.mp4", tmp_path / "cut.mp4"
    source = f"testsrc2=size={SIZE}:rate=25:duration=1"
    media.run("-f", "lavfi", "-i", source, *X264, "-pix_fmt", "yuv420p", "-movflags", "+faststart", path)
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    summary = await probed(client, cut)
    assert (summary.media.HasField("whole"), summary.media.whole) == (True, False)
    assert reasons(summary) == ["INPUT_CUT_OFF"]


async def test_images(client: Client, tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((48, 64, 3), 90, np.uint8))
    profile = still_samples.matrix_profile((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), 2.2)
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=turned, icc_profile=profile)
    frames = [Image.new("RGB", (64, 48), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], duration=200, lossless=True)
    media.image(tmp_path / "deep.png", "64x48", "-pix_fmt", "rgb48be")
    told = (await probed(client, tmp_path / "turned.jpg")).media
    assert (told.kind, told.container, told.whole) == (Report.IMAGE, "jpeg", True)
    assert (told.image.width, told.image.height, told.image.rotation) == (48, 64, 90)
    assert (told.image.color_space, told.image.HasField("color_profile")) == ("RGB", True)
    told = (await probed(client, tmp_path / "moving.webp")).media
    assert (told.container, told.image.animated, told.image.frames) == ("webp", True, 3)
    assert told.duration == pytest.approx(0.6)
    told = (await probed(client, tmp_path / "deep.png")).media
    assert (told.container, told.image.bit_depth, told.image.animated) == ("png", 16, False)


async def test_subtitles_are_judged_as_captions(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "cues.srt"
    cues = (
        "1\n00:00:01,000 --> 00:00:02,000\nЗдравствуйте, друзья\n\n"
        "2\n00:00:03,000 --> 00:00:02,500\nпоздно\n\n"
        "3\n00:00:04,000 --> 00:00:05,500\nДо свидания\n"
    )
    path.write_bytes(cues.encode("cp1251"))
    summary = await probed(client, path, loudness=True)
    told = summary.media
    assert (told.kind, told.container, told.size_bytes) == (Report.SUBTITLES, "subrip", path.stat().st_size)
    captions = told.captions
    assert (captions.encoding, captions.cues, captions.left_out) == ("windows-1251", 2, 1)
    assert (captions.first_seconds, captions.last_seconds) == (1.0, 5.5)
    assert reasons(summary) == ["ENCODING_GUESSED", "CUES_LEFT_OUT", "NO_AUDIO"]
    assert summary.warnings[0].message.startswith("url: ")


@pytest.mark.parametrize(
    ("data", "reason", "text"),
    [
        (b"hello world\n", "BAD_SUBTITLES", "no captions"),
        (b"PK\x03\x04 \0\0\0\0", "BAD_INPUT", "ZIP archive"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "BAD_INPUT", "SVG"),
        (b"<!doctype html><title>Sign in</title>", "WEB_PAGE", "web page"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "BAD_SUBTITLES", "playlist"),
        (bytes(range(256)) * 8, "BAD_INPUT", "neither"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "BAD_INPUT", "image"),
    ],
)
async def test_what_is_none_of_them_is_refused(
    client: Client, tmp_path: Path, data: bytes, reason: str, text: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(grpc.aio.AioRpcError, match=text) as caught:
        await probed(client, path)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in str(caught.value.trailing_metadata())


async def test_an_image_that_one_library_alone_reads_is_told_by_its_own_kind(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (32, 24), "red").save(path)
    data = path.read_bytes()
    # Behind the header: a chunk of text, whose checksum is wrong.
    chunk = (4).to_bytes(4, "big") + b"zTXt" + b"a\0\0b" + b"none"
    path.write_bytes(data[:33] + chunk + data[33:])
    told = (await probed(client, path)).media
    assert (told.kind, told.container, told.image.width, told.image.height) == (Report.IMAGE, "png", 32, 24)
