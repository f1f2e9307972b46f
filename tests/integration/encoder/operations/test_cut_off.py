"""Files that end too early: refused alike by all operations, and taken as they are where the request allows for it."""

import re
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
Inputs = dict[str, Path | bytes]
SECONDS = 2.0
PICTURE = ("-f", "lavfi", "-i", f"testsrc2=s=64x36:r=25:d={SECONDS}")
TONE = ("-f", "lavfi", "-i", f"sine=440:d={SECONDS}")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov+delay_moov")
VIDEOS = {
    "fast.mp4": (*H264, "-c:a", "aac", "-movflags", "+faststart"),
    "fragmented.mp4": (*H264, "-c:a", "aac", *FRAGMENTED),
    "v.mkv": (*H264, "-c:a", "aac"),
    "v.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "live.mkv": (*H264, "-c:a", "aac", "-live", "1"),
    "v.avi": (*H264, "-c:a", "libmp3lame"),
    "v.flv": (*H264, "-c:a", "aac"),
    "v.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
}
SOUNDS = {
    "a.m4a": ("-movflags", "+faststart"),
    "a.mp3": (),
    "a.wav": (),
    "a.flac": (),
    "a.aiff": (),
}
# They promise no length: what is there is all that anybody expects.
STREAMS = {"v.ts": (*H264, "-c:a", "aac"), "v.mpg": ("-c:v", "mpeg2video")}


def cut(folder: Path, name: str, options: tuple[str, ...], share: float = 0.6) -> Path:
    """The first part of a file."""
    whole, path = folder / f"whole-{name}", folder / name
    media.run(*(TONE if name.startswith("a.") else (*PICTURE, *TONE)), *options, whole)
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.fixture(scope="module")
def parts(media_dir: Path) -> dict[str, Path]:
    """A cut off file of each kind."""
    folder = media_dir / "parts"
    folder.mkdir()
    return {name: cut(folder, name, options) for name, options in {**VIDEOS, **SOUNDS, **STREAMS}.items()}


def request(operation: str, **more: Any) -> video_pb2.Operation:
    kinds = {
        "caption": video_pb2.CaptionRequest(url_video="v", url_srt="s", **more),
        "addaudio": video_pb2.AddAudioRequest(url_video="v", url_audio="a", **more),
        "concat": video_pb2.ConcatRequest(url_videos=["v", "w"], **more),
        "thumbnail": video_pb2.ThumbnailRequest(url_video="v", at_seconds=0.5, **more),
        "img2vid": video_pb2.Img2VidRequest(url_image="i", duration=0.2, width=64, height=36, **more),
    }
    return video_pb2.Operation(**{operation: kinds[operation]})


async def refusal(client: Client, operation: video_pb2.Operation, inputs: Inputs) -> tuple[str, str]:
    """The code of a refusal, and what it says."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operation, inputs)
    return caught.value.code().name, caught.value.details() or ""


TOLD = "the file is cut off; send it whole, or set allow_partial to have what is there."


@pytest.mark.parametrize("name", VIDEOS)
async def test_a_cut_off_video(
    client: Client, parts: dict[str, Path], clip: Path, cues: Path, tmp_path: Path, name: str
) -> None:
    video, sound, out = parts[name], media.tone(tmp_path / "long.wav", 3), tmp_path / "o.mp4"
    for operation, inputs, field in (
        ("caption", {"url_video": video, "url_srt": cues}, "url_video"),
        ("addaudio", {"url_video": video, "url_audio": sound}, "url_video"),
        ("concat", {"url_videos[0]": clip, "url_videos[1]": video}, "url_videos[1]"),
        ("thumbnail", {"url_video": video}, "url_video"),
    ):
        assert await refusal(client, request(operation), inputs) == ("INVALID_ARGUMENT", f"{field}: {TOLD}"), operation
        summary = await client.result(out, request(operation, allow_partial=True), inputs)
        warnings = {warning.reason: warning for warning in summary.warnings}
        assert warnings["INPUT_CUT_OFF"].metadata["fields"] == field
        seconds = float(warnings["INPUT_CUT_OFF"].metadata["seconds"])
        assert 0.4 * SECONDS < seconds < 0.8 * SECONDS
        if operation in ("caption", "addaudio"):
            facts = judge.facts(out)
            assert facts.seconds == pytest.approx(seconds, abs=0.15)
            assert facts.frames == pytest.approx(25 * seconds, abs=2)
            assert facts.audio_seconds == pytest.approx(seconds, abs=0.35)


@pytest.mark.parametrize("name", SOUNDS)
async def test_cut_off_sound(client: Client, parts: dict[str, Path], clip: Path, tmp_path: Path, name: str) -> None:
    inputs: Inputs = {"url_video": clip, "url_audio": parts[name]}
    assert await refusal(client, request("addaudio"), inputs) == ("INVALID_ARGUMENT", f"url_audio: {TOLD}")
    out = tmp_path / "o.mp4"
    summary = await client.result(out, request("addaudio", allow_partial=True), inputs)
    [warning] = summary.warnings
    assert (warning.reason, warning.metadata["fields"]) == ("INPUT_CUT_OFF", "url_audio")
    # What FFmpeg said of it is told without a word of where the encoder keeps the file.
    assert not re.search(r"(?<!\w)/", summary.log)
    assert name != "a.flac" or "decode_frame() failed" in summary.log
    facts = judge.facts(out)
    assert facts.audio_seconds == pytest.approx(float(warning.metadata["seconds"]), abs=0.1)
    assert 0.4 * SECONDS < facts.seconds < 0.8 * SECONDS
    assert judge.pitch(out) == pytest.approx(440, abs=5)


@pytest.mark.parametrize("name", STREAMS)
async def test_streams_may_end_anywhere(
    client: Client, parts: dict[str, Path], cues: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "o.mp4"
    await client.result(out, request("caption"), {"url_video": parts[name], "url_srt": cues})
    assert judge.facts(out).frames > 20


async def test_the_last_picture_is_whole(client: Client, cues: Path, tmp_path: Path) -> None:
    """The packet in which the file ends is left out, as half of its picture would be gray or of the one before."""
    options = ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "aac", "-movflags", "+faststart")
    video, out = cut(tmp_path, "m.mov", options), tmp_path / "o.mp4"
    await client.result(out, request("caption", allow_partial=True), {"url_video": video, "url_srt": cues})
    whole, made = judge.pictures(tmp_path / "whole-m.mov", "gray"), judge.pictures(out, "gray")
    assert np.abs(whole[len(made) - 1][18:].astype(int) - made[-1][18:].astype(int)).mean() < 12


async def test_without_its_index_nothing_of_mp4_can_be_read(client: Client, clip: Path, cues: Path) -> None:
    data = clip.read_bytes()
    data = data[: data.index(b"moov") - 20]
    for more in ({}, {"allow_partial": True}):
        for operation, inputs in (
            ("caption", {"url_video": data, "url_srt": cues}),
            ("addaudio", {"url_video": data, "url_audio": clip}),
            ("thumbnail", {"url_video": data}),
        ):
            code, told = await refusal(client, request(operation, **more), inputs)
            assert code == "INVALID_ARGUMENT"
            assert "without its index (moov)" in told


async def test_a_cut_off_still(client: Client, tmp_path: Path) -> None:
    still, out = media.image(tmp_path / "i.jpg", "320x180"), tmp_path / "o.mp4"
    whole = still.read_bytes()
    part = whole[: len(whole) * 6 // 10]
    code, told = await refusal(client, request("img2vid"), {"url_image": part})
    assert code == "INVALID_ARGUMENT"
    assert told.startswith("url_image: ")
    summary = await client.result(out, request("img2vid", allow_partial=True), {"url_image": part})
    assert [warning.reason for warning in summary.warnings] == ["INPUT_CUT_OFF"]
    assert judge.pictures(out, "gray")[0][:20].std() > 5
    assert not (await client.encode(request("img2vid", allow_partial=True), {"url_image": whole})).summary.warnings


async def test_what_is_whole_is_no_otherwise_for_it(client: Client, clip: Path, cues: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    for name in ("whole-v.webm", "whole-live.mkv", "whole-v.flv", "whole-v.wmv"):
        video = tmp_path / name
        media.run(*PICTURE, *TONE, *VIDEOS[name.removeprefix("whole-")], video)
        summary = await client.result(
            one, request("caption", allow_partial=True), {"url_video": video, "url_srt": cues}
        )
        assert not summary.warnings, name
    for out, operation in ((one, request("caption", allow_partial=True)), (other, request("caption"))):
        assert not (await client.result(out, operation, {"url_video": clip, "url_srt": cues})).warnings
    assert judge.facts(one) == judge.facts(other)
