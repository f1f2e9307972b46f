"""What every codec must do in every format that it makes, the same for all: frames, times, duration, likeness,
captions, sound and keyframes. `nvenc` runs on the stand-in for NVIDIA's driver: what is judged is everything around the
card, and not what a card makes of a picture."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from apigpu.v1 import motion_pb2, video_pb2
from encoder.ffmpeg.command import COPY
from tests.nvdriver.driver import Driver
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
VMAF_FLOOR = 80
FRAGMENTED = video_pb2.CONTAINER_FRAGMENTED_MP4
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2")


@dataclass(frozen=True)
class Maker:
    """A codec and a format that it makes, the profile of that, and the settings that ask for it."""

    codec: str
    format: str
    profile: str
    settings: Mapping[str, object]


MAKERS = {
    "x264": Maker("x264", "h264", "High", {"CODEC": "x264"}),
    "nvenc": Maker("nvenc", "h264", "High", {"CODEC": "nvenc"}),
    "hevc": Maker("nvenc", "hevc", "Main", {"CODEC": "nvenc", "NVENC_FORMAT": "hevc"}),
    "av1": Maker("nvenc", "av1", "Main", {"CODEC": "nvenc", "NVENC_FORMAT": "av1"}),
}


CARD = pytest.mark.nvenc


@pytest.fixture(scope="module", params=[pytest.param(name, marks=() if name == "x264" else CARD) for name in MAKERS])
def maker(request: pytest.FixtureRequest) -> Maker:
    """What is under test."""
    return MAKERS[request.param]


@pytest.fixture
def codec(maker: Maker) -> str:
    """The name of the codec."""
    return maker.codec


@pytest.fixture(scope="module")
def driver(maker: Maker, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Driver | None:
    """The driver that the codec needs."""
    if maker.codec != "nvenc":
        return None
    folder = tmp_path_factory.mktemp("driver")
    return Driver(request.getfixturevalue("nvdriver_libraries"), folder / "log", folder / "control")


@pytest.fixture(scope="module")
def encoder(
    maker: Maker, driver: Driver | None, certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[encoder_harness.Encoder]:
    """An encoder with that codec."""
    settings = {**maker.settings, **(driver.environment() if driver else {})}
    with encoder_harness.running(certs, tmp_path_factory.mktemp(maker.format), settings) as running:
        yield running
    if driver is not None:
        assert not driver.state().violations


@pytest.fixture
async def client(encoder: encoder_harness.Encoder) -> AsyncIterator[Client]:
    """A gateway's view of it."""
    async with encoder.client() as connected:
        yield connected


def caption(*, fragmented: bool = False) -> video_pb2.Operation:
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    if fragmented:
        request.container = FRAGMENTED
    return video_pb2.Operation(caption=request)


@dataclass(frozen=True)
class Look:
    """What a player is told of a picture."""

    size: tuple[int, int]
    aspect: object
    color_tags: tuple[int, int, int, int]


def look(path: Path) -> Look:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        limited = frame.color_range or 1  # which decoders of some formats tell where nothing is told
        color_tags = (frame.color_primaries, frame.color_trc, frame.colorspace, limited)
        return Look((frame.width, frame.height), stream.sample_aspect_ratio or 1, color_tags)


def packets(path: Path) -> list[bytes]:
    """The sound as it is stored."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def keyframes(path: Path) -> list[int]:
    """The frames that a player can begin with, each tried: what comes from there on decodes to the end."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        starts = [packet.pts or 0 for packet in packets if packet.is_keyframe]
        shown = sorted(packet.pts or 0 for packet in packets)
        for start in starts:
            container.seek(start, stream=stream)
            assert [frame.pts for frame in container.decode(stream)] == shown[shown.index(start) :]
    return [shown.index(start) for start in starts]


def is_in_order(path: Path) -> bool:
    """Whether each packet shows a picture at the time at which it is decoded, as MP4 wants it of AV1."""
    with av.open(str(path)) as container:
        return all(packet.pts == packet.dts for packet in container.demux(video=0))


def times(path: Path) -> list[float]:
    """When each frame is shown, seconds from the start of the file as a player counts them."""
    with av.open(str(path)) as container:
        start = 0.0 if container.format.name.startswith("mov") else (container.start_time or 0) / av.time_base
        return [float(frame.pts * frame.time_base) - start for frame in container.decode(video=0)]


def lit(path: Path) -> list[bool]:
    """In which frames of a gray video a caption stands at its foot."""
    frames = judge.pictures(path, "gray")
    return [bool((frame[frame.shape[0] * 6 // 10 :] > 150).sum() > 30) for frame in frames]


UNEVEN = ("-vf", "setpts='(N*0.04+mod(N,3)*0.008)/TB'", "-fps_mode", "passthrough")
NTSC = "setparams=color_primaries=smpte170m:color_trc=smpte170m:colorspace=smpte170m"
BT601 = ("-vf", f"scale=out_color_matrix=bt601,{NTSC}")
OLD = ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", "-c:a", "libmp3lame")
# A caption that covers next to nothing, from before the first frame to after the last.
NO_CAPTION = b"1\n00:00:00,000 --> 00:01:00,000\n.\n"
LATE = ("-vf", "setpts=PTS+0.2/TB", "-fps_mode", "passthrough")
FILMS: dict[str, tuple[str, ...]] = {
    "plain.mp4": X264,
    "uneven.mkv": (*X264, *UNEVEN),
    "late.mkv": (*X264, *LATE),
    "wide-pixels.mp4": (*X264, "-vf", "setsar=4/3"),
    "bt601.mp4": (*X264, *BT601),
    "film.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-r", "24000/1001"),
    "broadcast.ts": (*X264, "-output_ts_offset", "5"),
    "old.avi": ("-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-c:a", "libmp3lame"),
    "fast.mp4": (*X264, "-r", "60"),
    "slow.mp4": (*X264, "-r", "2"),
    "one-frame.mp4": (*X264, "-frames:v", "1"),
}


# What depends on the format beside the codec, of few frames.
BY_FORMAT = ("plain.mp4", "uneven.mkv", "late.mkv", "one-frame.mp4")
LATER = [pytest.param(name, marks=[pytest.mark.long, CARD]) for name in ("hevc", "av1")]
by_codec = pytest.mark.parametrize(
    "maker", ["x264", pytest.param("nvenc", marks=CARD), *LATER], indirect=True, scope="module"
)
"""For what is alike in all formats of a codec: with further formats in `make long` alone."""


@pytest.mark.parametrize("name", BY_FORMAT)
async def test_a_film_keeps_frames_times_and_sound(client: Client, maker: Maker, tmp_path: Path, name: str) -> None:
    await keeps_all(client, maker, tmp_path, name)


@by_codec
@pytest.mark.parametrize("name", sorted(FILMS.keys() - set(BY_FORMAT)))
async def test_another_film_keeps_them_too(client: Client, maker: Maker, tmp_path: Path, name: str) -> None:
    await keeps_all(client, maker, tmp_path, name)


async def keeps_all(client: Client, maker: Maker, tmp_path: Path, name: str) -> None:
    film, out = media.video(tmp_path / name, 2, "320x180", 25, True, *FILMS[name]), tmp_path / "out.mp4"
    summary = await client.result(out, caption(), {"url_video": film, "url_srt": NO_CAPTION})
    assert summary.codec == maker.codec
    assert summary.frames == len(times(film))
    before, after = times(film), times(out)
    shift = before[0] if name == "old.avi" else 0  # AVI holds no times: those of the decoder come with its delay
    assert after == pytest.approx([time - shift for time in before], abs=0.0011)
    assert judge.vmaf(out, film) > VMAF_FLOOR
    if name == "broadcast.ts":  # whose AAC has headers of its own (ADTS), of seven bytes
        assert [len(packet) + 7 for packet in packets(out)] == [len(packet) for packet in packets(film)]
    else:
        assert packets(out) == packets(film)
    facts = judge.facts(out)
    assert (facts.codec, facts.profile, facts.pixel_format) == (maker.format, maker.profile, "yuv420p")
    assert judge.moov_first(out)


@pytest.mark.parametrize("name", ["plain.mp4", "wide-pixels.mp4", "bt601.mp4"])
async def test_a_film_keeps_its_look(client: Client, tmp_path: Path, name: str) -> None:
    film, out = media.video(tmp_path / name, 0.5, "320x180", 25, True, *FILMS[name]), tmp_path / "out.mp4"
    await client.result(out, caption(), {"url_video": film, "url_srt": NO_CAPTION})
    assert look(out) == look(film)


# Sample entry and its configuration, by format.
BOXES = {"h264": (b"avc1", b"avcC"), "hevc": (b"hvc1", b"hvcC"), "av1": (b"av01", b"av1C")}


async def test_pieces_have_keyframes_every_two_seconds_and_are_joined_as_they_are(
    client: Client, maker: Maker, tmp_path: Path
) -> None:
    film, piece, joined = media.video(tmp_path / "film.mp4", 3, "256x144", 10), tmp_path / "a.mp4", tmp_path / "ab.mp4"
    await client.result(piece, caption(), {"url_video": film, "url_srt": NO_CAPTION})
    assert keyframes(piece) == ([0, 20] if maker.codec == "nvenc" else [0])
    assert maker.format != "av1" or is_in_order(piece)
    assert all(box in piece.read_bytes() for box in BOXES[maker.format])
    join = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["a", "b"]))
    summary = await client.result(joined, join, {"url_videos[0]": piece, "url_videos[1]": piece})
    assert (summary.codec, judge.facts(joined).frames) == (COPY, 60)
    assert times(joined) == pytest.approx([number / 10 for number in range(60)], abs=0.0011)
    once = judge.pictures(piece, "gray")
    assert all((one == other).all() for one, other in zip(judge.pictures(joined, "gray"), once * 2, strict=True))


@pytest.mark.parametrize("fragmented", [False, True])
async def test_captions_stand_in_the_same_frames(client: Client, tmp_path: Path, fragmented: bool) -> None:
    film, out = media.grey_video(tmp_path / "gray.mp4", 2), tmp_path / "out.mp4"
    subtitles = b"1\n00:00:00,500 --> 00:00:01,000\nHHHHH\n\n2\n00:00:01,500 --> 00:00:01,600\nHHHHH\n"
    await client.result(out, caption(fragmented=fragmented), {"url_video": film, "url_srt": subtitles})
    due = [0.5 <= number / 25 < 1.0 or 1.5 <= number / 25 < 1.6 for number in range(50)]
    assert lit(out) == due


async def test_a_turned_film_is_turned(client: Client, clip: Path, tmp_path: Path) -> None:
    turned, out = tmp_path / "turned.mp4", tmp_path / "out.mp4"
    media.run("-display_rotation", "90", "-i", clip, "-c", "copy", turned)
    await client.result(out, caption(), {"url_video": turned, "url_srt": NO_CAPTION})
    assert look(out).size == (180, 320)
    upright = np.rot90(judge.pictures(clip, "gray")[10])
    assert np.abs(judge.pictures(out, "gray")[10].astype(int) - upright).mean() < 6


@by_codec
@pytest.mark.parametrize("fragmented", [False, True])
async def test_a_clip_has_its_frames(client: Client, codec: str, still: Path, tmp_path: Path, fragmented: bool) -> None:
    still_camera = motion_pb2.Motion(end_zoom=1)
    request = video_pb2.Img2VidRequest(
        url_image="i", duration=1.5, frame_rate=24, width=960, height=540, motion=still_camera
    )
    if fragmented:
        request.container = FRAGMENTED
    out, shown = tmp_path / "out.mp4", tmp_path / "shown.mkv"
    summary = await client.result(out, video_pb2.Operation(img2vid=request), {"url_image": still})
    assert (summary.codec, summary.frames) == (codec, 36)
    assert times(out) == pytest.approx([number / 24 for number in range(36)], abs=0.0005)
    media.run(
        "-loop",
        "1",
        "-r",
        "24",
        "-i",
        still,
        "-frames:v",
        "36",
        "-vf",
        "scale=960:540:flags=lanczos",
        *X264,
        "-qp",
        "0",
        shown,
    )
    assert judge.vmaf(out, shown) > VMAF_FLOOR
    assert look(out) == Look((960, 540), 1, (1, 1, 1, 1))


@by_codec
async def test_a_soundtrack_on_what_cannot_be_copied(client: Client, codec: str, tmp_path: Path) -> None:
    film = media.video(tmp_path / "film.avi", 3, "320x180", 25, True, *OLD)
    music, out = media.tone(tmp_path / "music.m4a", 2, 880, "-b:a", "128k"), tmp_path / "out.mp4"
    operation = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
    summary = await client.result(out, operation, {"url_video": film, "url_audio": music})
    assert summary.codec == codec
    assert times(out) == pytest.approx([time for time in times(film) if time < 2 - 0.001], abs=0.0011)
    assert packets(out) == packets(music)[: len(packets(out))]
    assert len(packets(out)) >= len(packets(music)) - 1


@by_codec
async def test_a_mixed_soundtrack_keeps_its_place(client: Client, codec: str, tmp_path: Path) -> None:
    film = media.video(tmp_path / "film.avi", 2, "320x180", 25, True, *OLD)
    music = media.tone(tmp_path / "music.wav", 1)
    operation = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
    operation.addaudio.soundtrack.mix = True
    operation.addaudio.soundtrack.delay = 1
    operation.addaudio.soundtrack.loudness = -16
    out = tmp_path / "out.mp4"
    summary = await client.result(out, operation, {"url_video": film, "url_audio": music})
    assert (summary.codec, summary.frames) == (codec, 50)
    sound = judge.samples(out)
    spectrum = [np.abs(np.fft.rfft(part)) for part in (sound[: judge.RATE], sound[judge.RATE : 2 * judge.RATE])]
    assert spectrum[0][440] > 5 * spectrum[0][880]
    assert spectrum[1][880] > spectrum[0][880] * 5


@by_codec
async def test_progress_counts_frames(client: Client, tmp_path: Path) -> None:
    film = media.video(tmp_path / "film.mp4", 8, "1280x720")
    done = await client.encode(caption(), {"url_video": film, "url_srt": NO_CAPTION})
    counts = [step.frames_done for step in done.progress]
    assert counts == sorted(counts)
    assert counts[-1] == 200
    assert done.progress[-1].frames_total == 200
