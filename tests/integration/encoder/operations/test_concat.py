"""concat, judged by decoding: each part in its place, its color and its tone change together, copies are copies."""

from collections.abc import Mapping
from pathlib import Path

import av
import grpc
import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "20", "-pix_fmt", "yuv420p")
COLORS = {"red": (254, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 254)}


def part(
    path: Path,
    color: str,
    tone: int,
    seconds: float = 1,
    size: str = "160x90",
    rate: str = "25",
    options: tuple[str, ...] = H264,
) -> Path:
    """A video of one color and one tone; 0 is none."""
    sound = ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration={seconds}:sample_rate=48000"] if tone else []
    picture = f"color=c={color}:size={size}:rate={rate}:duration={seconds},noise=alls=1:allf=t"
    media.run("-f", "lavfi", "-i", picture, *sound, *options, path)
    return path


async def joined(client: Client, out: Path, *parts: Path, **options: object) -> encoder_pb2.Summary:
    """Run it; its summary."""
    request = video_pb2.ConcatRequest(url_videos=["v"] * len(parts), **options)  # type: ignore[arg-type]
    inputs: Mapping[str, Path | bytes] = {f"url_videos[{number}]": path for number, path in enumerate(parts)}
    return await client.result(out, video_pb2.Operation(concat=request), inputs)


def packets(path: Path) -> list[bytes]:
    """The packets of the pictures."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def color_at(path: Path, seconds: float) -> str:
    """The name of the color in the middle of the picture at a time."""
    times = judge.facts(path).times
    number = max(index for index, time in enumerate(times) if time <= seconds + 1e-6)
    picture = judge.pictures(path)[number]
    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)
    return min(COLORS, key=lambda name: sum(abs(middle - np.array(COLORS[name]))))


def pitch_at(path: Path, start: float, end: float) -> float:
    """The loudest frequency between two times, Hz; 0 for silence."""
    sound = judge.samples(path)[round(start * judge.RATE) : round(end * judge.RATE)]
    if np.abs(sound).max() < 1e-3:
        return 0.0
    spectrum = np.abs(np.fft.rfft(sound))
    return float(np.fft.rfftfreq(len(sound), 1 / judge.RATE)[int(spectrum[1:].argmax()) + 1])


async def test_parts_that_agree_are_copied_packet_by_packet(client: Client, tmp_path: Path) -> None:
    one = part(tmp_path / "1.mp4", "red", 440, 1.2)
    two = part(tmp_path / "2.mp4", "green", 880, 0.8)
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, one, two, one)
    assert (summary.codec, summary.codec_reason) == ("copy", "the video need not be encoded")
    assert packets(out) == [*packets(one), *packets(two), *packets(one)]
    facts = judge.facts(out)
    assert (facts.frames, summary.frames) == (80, 80)
    assert facts.times == pytest.approx([number / 25 for number in range(80)], abs=1e-4)
    assert facts.seconds == pytest.approx(3.2, abs=0.02)
    assert [color_at(out, time) for time in (1.16, 1.2, 1.96, 2.0)] == ["red", "green", "green", "red"]
    assert judge.moov_first(out)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("copied", [True, False])
async def test_sound_changes_with_the_picture_at_every_joint(
    client: Client, tmp_path: Path, ending: str, copied: bool
) -> None:
    tones = [440, 880, 1760, 660, 1320]
    parts = [
        part(tmp_path / f"{number}.{ending}", list(COLORS)[number % 3], tone, 0.6) for number, tone in enumerate(tones)
    ]
    options = {} if copied else {"frame_rate": 50.0}
    summary = await joined(client, tmp_path / "o.mp4", *parts, **options)
    assert (summary.codec == "copy") is copied
    for number, tone in enumerate(tones):
        start, end = 0.6 * number, 0.6 * (number + 1)
        # Within 15 ms of the joint it is the part's own tone already.
        assert pitch_at(tmp_path / "o.mp4", start + 0.015, start + 0.215) == pytest.approx(tone, abs=6)
        assert pitch_at(tmp_path / "o.mp4", end - 0.215, end - 0.015) == pytest.approx(tone, abs=6)
        assert color_at(tmp_path / "o.mp4", start) == list(COLORS)[number % 3]
        assert color_at(tmp_path / "o.mp4", end - 0.02) == list(COLORS)[number % 3]
    assert judge.facts(tmp_path / "o.mp4").audio_seconds == pytest.approx(3.0, abs=0.03)


async def test_any_sizes_rates_codecs_and_turns_are_fitted_to_the_first(client: Client, tmp_path: Path) -> None:
    one = part(tmp_path / "1.mp4", "red", 440, 1, "320x180", "30")
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus", "-ac", "1")
    two = part(tmp_path / "2.webm", "green", 880, 1, "120x160", "24000/1001", vp9)
    flat = part(tmp_path / "flat.mp4", "blue", 0, 1, "320x180", "50")
    turned = tmp_path / "3.mp4"
    media.run("-display_rotation", "90", "-i", flat, "-c", "copy", turned)
    out = tmp_path / "o.mp4"
    summary = await joined(client, out, one, two, turned)
    facts = judge.facts(out)
    assert (summary.codec, facts.codec, facts.width, facts.height, facts.rate) == ("x264", "h264", 320, 180, 30)
    assert facts.frames == 90
    assert [color_at(out, time) for time in (0.5, 1.5, 2.5)] == ["red", "green", "blue"]
    assert pitch_at(out, 1.1, 1.9) == pytest.approx(880, abs=6)
    assert pitch_at(out, 2.05, 2.95) == 0
    shown = judge.pictures(out)
    # 120×160 in 320×180 is 135 pixels wide (92 to 227); 320×180, turned, is 101 wide (109 to 210).
    assert [int(shown[45][90, column].max()) > 64 for column in (80, 96, 224, 240)] == [False, True, True, False]
    assert [int(shown[75][90, column].max()) > 64 for column in (100, 116, 204, 220)] == [False, True, True, False]


async def test_a_size_and_a_rate_can_be_given(client: Client, tmp_path: Path) -> None:
    one, two = part(tmp_path / "1.mp4", "red", 440), part(tmp_path / "2.mp4", "green", 0)
    out = tmp_path / "o.mp4"
    await joined(client, out, one, two, width=200, height=200, frame_rate=12.5)
    facts = judge.facts(out)
    assert (facts.width, facts.height, facts.rate, facts.frames) == (200, 200, 12.5, 25)
    await joined(client, out, one, two, width=320)
    assert (judge.facts(out).width, judge.facts(out).height) == (320, 180)
    assert (await joined(client, out, one, one, width=160, height=90, frame_rate=25)).codec == "copy"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await joined(client, out, one, two, width=201, height=200)
    assert caught.value.details() == "width: 201 is odd, and H.264 takes even sizes; give 202."


async def test_no_rounding_adds_up_over_many_parts(client: Client, tmp_path: Path) -> None:
    parts = [
        part(tmp_path / "1.mp4", "red", 440, 0.53, rate="30000/1001"),
        part(tmp_path / "2.mp4", "green", 880, 0.53),
    ]
    out = tmp_path / "o.mp4"
    seconds = [judge.facts(path).frames / float(judge.facts(path).rate) for path in parts]
    length = 8 * sum(seconds)
    await joined(client, out, *parts * 8, frame_rate=24)
    facts = judge.facts(out)
    assert facts.frames == pytest.approx(length * 24, abs=1)
    assert facts.audio_seconds == pytest.approx(length, abs=1 / 25)
    # Parts that are copied begin to the tick where those before them end.
    summary = await joined(client, out, *parts * 8)
    facts = judge.facts(out)
    assert summary.frames_copied == 8 * judge.facts(parts[0]).frames
    for number in range(8):
        begin = number * sum(seconds)
        assert min(abs(time - begin) for time in facts.times) < 1e-4
    assert facts.seconds == pytest.approx(length, abs=1 / 25)
    assert facts.audio_seconds == pytest.approx(length, abs=1 / 25)


async def test_one_video_and_no_sound_at_all(client: Client, tmp_path: Path) -> None:
    silent = part(tmp_path / "1.mp4", "red", 0)
    summary = await joined(client, tmp_path / "o.mp4", silent)
    assert (summary.codec, judge.facts(tmp_path / "o.mp4").audio) == ("copy", ())


async def test_a_turned_video_is_copied_turned(client: Client, tmp_path: Path) -> None:
    turned = tmp_path / "t.mp4"
    media.run("-display_rotation", "90", "-i", part(tmp_path / "1.mp4", "red", 440), "-c", "copy", turned)
    assert (await joined(client, tmp_path / "o.mp4", turned, turned)).codec == "copy"
    facts = judge.facts(tmp_path / "o.mp4")
    assert (facts.width, facts.height, facts.frames) == (90, 160, 50)


async def test_a_fragmented_result(client: Client, tmp_path: Path) -> None:
    one, two = part(tmp_path / "1.mp4", "red", 440), part(tmp_path / "2.mp4", "green", 880, rate="30")
    await joined(client, tmp_path / "o.mp4", one, two, container=video_pb2.CONTAINER_FRAGMENTED_MP4)
    assert b"moof" in (tmp_path / "o.mp4").read_bytes()
    assert judge.facts(tmp_path / "o.mp4").frames == 50


async def test_what_is_lost_is_told(client: Client, tmp_path: Path) -> None:
    one, two = part(tmp_path / "1.mp4", "red", 440), tmp_path / "2.mkv"
    cues = media.srt(tmp_path / "c.srt", [(0, 1, "Hello")])
    media.run("-i", one, "-i", cues, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1", "-c:v", "copy", two)
    warnings = (await joined(client, tmp_path / "o.mp4", one, two)).warnings
    assert [(warning.reason, warning.metadata["fields"]) for warning in warnings] == [
        ("OTHER_AUDIO_DROPPED", "url_videos[1]"),
        ("SUBTITLES_DROPPED", "url_videos[1]"),
    ]


async def test_an_error_names_the_element(client: Client, tmp_path: Path) -> None:
    one, bad = part(tmp_path / "1.mp4", "red", 440), tmp_path / "bad.mp4"
    bad.write_bytes(b"no video" * 100)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await joined(client, tmp_path / "o.mp4", one, bad)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith("url_videos[1]: the file is not a video")


async def test_a_source_that_is_sent_once_is_used_twice(client: Client, tmp_path: Path) -> None:
    one = part(tmp_path / "1.mp4", "red", 440)
    request = video_pb2.ConcatRequest(url_videos=["a", "b", "a"])
    two = part(tmp_path / "2.mp4", "green", 440)
    inputs: dict[str, Path | bytes] = {"url_videos[0] url_videos[2]": one, "url_videos[1]": two}
    await client.result(tmp_path / "o.mp4", video_pb2.Operation(concat=request), inputs)
    assert [color_at(tmp_path / "o.mp4", time) for time in (0.5, 1.5, 2.5)] == ["red", "green", "red"]


async def test_the_sum_is_held_against_the_longest_result(certs: Path, tmp_path: Path) -> None:
    one = part(tmp_path / "1.mp4", "red", 440)
    with encoder_harness.running(certs, tmp_path / "encoder", {"MAX_DURATION_SECONDS": 2.5}) as encoder:
        async with encoder.client() as client:
            await joined(client, tmp_path / "o.mp4", one, one)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await joined(client, tmp_path / "o.mp4", one, one, one)
    assert caught.value.details() == "url_videos: the result would last 3 s; 2 s are the most."
