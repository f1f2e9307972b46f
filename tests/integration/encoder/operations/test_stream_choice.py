"""Files with several streams of a kind: which is taken, and that it is told; judged by decoding."""

from collections.abc import Sequence
from pathlib import Path

import av
import grpc
import numpy as np
import pytest

from apigpu.v1 import soundtrack_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
MIX = video_pb2.Operation(
    addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a", soundtrack=soundtrack_pb2.Soundtrack(mix=True))
)
THUMBNAIL = video_pb2.Operation(thumbnail=video_pb2.ThumbnailRequest(url_video="v", at_seconds=0.2))
CONCAT = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["v", "w"]))
SMALL, LARGE = "64x36", "128x72"
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def source(kind: str) -> tuple[str, ...]:
    """Input options of a picture of one color and size ("red 64x36", and "once"), or of a tone ("440")."""
    if kind.isdigit():
        return ("-f", "lavfi", "-i", f"sine={kind}:d=0.6")
    color, size, *once = kind.split()
    return ("-f", "lavfi", "-i", f"color={color}:s={size}:r=25:d={0.04 if once else 0.6}")


def made(path: Path, kinds: Sequence[str], *options: str) -> Path:
    """A file with these streams, in their order."""
    inputs = [word for kind in kinds for word in source(kind)]
    maps = [word for number in range(len(kinds)) for word in ("-map", str(number))]
    media.run(*inputs, *maps, *H264, *options, path)
    return path


def color(path: Path) -> str:
    """The name of the color that is seen at the top of the picture."""
    red, green, blue = judge.pictures(path)[-1][4].mean(axis=0)
    return max((red, "red"), (green, "lime"), (blue, "blue"))[1]


@pytest.fixture(scope="module")
def cues(media_dir: Path) -> Path:
    """A caption that ends before any of the videos here."""
    return media.srt(media_dir / "brief.srt", [(0.0, 0.1, "Hello there")])


def reasons(summary: encoder_harness.encoder_pb2.Summary) -> list[str]:
    return [warning.reason for warning in summary.warnings]


SECOND = ("-disposition:v:0", "0", "-disposition:v:1", "default")
COVER = ("-c:v:0", "mjpeg", "-disposition:v:0", "attached_pic")
# Of each file: its ending, its streams, options, the color of the one to be taken, and whether there was a choice.
VIDEOS = {
    "largest": ("mp4", (f"red {SMALL}", f"lime {LARGE}"), ("-disposition:v", "default"), "lime", True),
    "default": ("mkv", (f"red {LARGE}", f"lime {SMALL}"), SECOND, "lime", True),
    "first of equals": ("mp4", (f"red {SMALL}", f"lime {SMALL}"), ("-disposition:v", "default"), "red", True),
    "cover": ("mp4", (f"red {LARGE} once", f"lime {SMALL}"), COVER, "lime", False),
    "preview": ("mp4", (f"red {LARGE} once", f"lime {SMALL}"), ("-disposition:v:0", "default"), "lime", False),
    "preview in mkv": ("mkv", (f"red {LARGE} once", f"lime {SMALL}"), ("-c:v:0", "mjpeg"), "lime", False),
    "transport stream": ("ts", (f"red {SMALL}", f"lime {LARGE}"), (), "lime", True),
}


@pytest.mark.parametrize("name", VIDEOS)
async def test_which_video_is_taken(client: Client, cues: Path, sound: Path, tmp_path: Path, name: str) -> None:
    ending, kinds, options, wanted, is_told = VIDEOS[name]
    video, out = made(tmp_path / f"v.{ending}", kinds, *options), tmp_path / "o.mp4"
    for operation, inputs in (
        (CAPTION, {"url_video": video, "url_srt": cues}),
        (ADDAUDIO, {"url_video": video, "url_audio": sound}),
        (THUMBNAIL, {"url_video": video}),
    ):
        summary = await client.result(out, operation, inputs)
        assert color(out) == wanted
        assert reasons(summary) == (["OTHER_VIDEO_DROPPED"] if is_told else [])


async def test_the_programs_of_a_transport_stream_keep_to_themselves(
    client: Client, cues: Path, gray: Path, tmp_path: Path
) -> None:
    video, out = tmp_path / "v.ts", tmp_path / "o.mp4"
    kinds = (f"red {SMALL}", "440", f"lime {LARGE}", "1000")
    programs = ("-program", "program_num=1:st=0:st=1", "-program", "program_num=2:st=2:st=3")
    made(video, kinds, *programs, "-c:a", "aac")
    for operation, inputs, pitch in (
        (CAPTION, {"url_video": video, "url_srt": cues}, 1000),
        (MIX, {"url_video": video, "url_audio": media.tone(tmp_path / "a.wav", 0.01, 200)}, 1000),
        (ADDAUDIO, {"url_video": gray, "url_audio": video}, 1000),
    ):
        summary = await client.result(out, operation, inputs)
        assert len(judge.facts(out).audio) == 1
        assert judge.pitch(out) == pytest.approx(pitch, abs=10)
        if "url_audio" not in inputs or inputs["url_audio"] != video:
            assert color(out) == "lime"
            assert "OTHER_VIDEO_DROPPED" in reasons(summary)


# Streams of sound, options, and the pitch of the one to be heard.
SOUNDS = {
    "default": (("440", "1000"), ("-disposition:a:0", "0", "-disposition:a:1", "default"), 1000),
    "most channels": (("440", "1000"), ("-ac:a:0", "1", "-ac:a:1", "2", "-disposition:a", "default"), 1000),
    "no comment": (("440", "1000"), ("-disposition:a:0", "comment", "-disposition:a:1", "0"), 1000),
    "first of equals": (("440", "1000"), ("-disposition:a", "default"), 440),
}


@pytest.mark.parametrize("name", SOUNDS)
async def test_which_sound_is_heard(client: Client, gray: Path, tmp_path: Path, name: str) -> None:
    kinds, options, pitch = SOUNDS[name]
    video, out = made(tmp_path / "v.mkv", (f"red {SMALL}", *kinds), "-c:a", "aac", *options), tmp_path / "o.mp4"
    quiet = media.tone(tmp_path / "quiet.wav", 0.01, 200)
    for operation, inputs, place in (
        (ADDAUDIO, {"url_video": gray, "url_audio": video}, "url_audio"),
        (MIX, {"url_video": video, "url_audio": quiet}, "url_video"),
        (CONCAT, {"url_videos[0]": video, "url_videos[1]": video}, "url_videos[0], url_videos[1]"),
    ):
        summary = await client.result(out, operation, inputs)
        assert judge.pitch(out) == pytest.approx(pitch, abs=10)
        assert [(w.reason, w.metadata["fields"]) for w in summary.warnings] == [("OTHER_AUDIO_DROPPED", place)]


async def test_what_no_result_takes_is_told(client: Client, cues: Path, sound: Path, tmp_path: Path) -> None:
    """Soft subtitles; sound that nobody decodes here, such as the spatial one of new telephones."""
    plain, video, out = tmp_path / "plain.mp4", tmp_path / "v.mp4", tmp_path / "o.mp4"
    inputs = [word for kind in (f"red {SMALL}", "440", "1000") for word in source(kind)]
    maps = ("-map", "0", "-map", "1", "-map", "2", "-map", "3")
    media.run(*inputs, "-i", cues, *maps, *H264, "-c:a:0", "aac", "-c:a:1", "alac", "-c:s", "mov_text", plain)
    video.write_bytes(plain.read_bytes().replace(b"alac", b"apac"))
    summary = await client.result(out, CAPTION, {"url_video": video, "url_srt": cues})
    assert judge.pitch(out) == pytest.approx(440, abs=10)
    assert sorted(reasons(summary)) == ["AUDIO_UNREADABLE", "SUBTITLES_DROPPED"]
    summary = await client.result(out, ADDAUDIO, {"url_video": video, "url_audio": sound})
    assert reasons(summary) == ["SUBTITLES_DROPPED"]


async def test_a_track_of_sound_without_any_is_left_out(client: Client, cues: Path, tmp_path: Path) -> None:
    whole, video, out = tmp_path / "whole.ts", tmp_path / "v.ts", tmp_path / "o.mp4"
    made(whole, (f"red {SMALL}", "440"), "-c:a", "aac")
    packets = [whole.read_bytes()[at : at + 188] for at in range(0, whole.stat().st_size, 188)]
    video.write_bytes(b"".join(packet for packet in packets if packet[1] & 0x1F != 1 or packet[2] != 1))
    summary = await client.result(out, CAPTION, {"url_video": video, "url_srt": cues})
    assert judge.facts(out).audio == ()
    assert reasons(summary) == ["AUDIO_UNREADABLE"]


async def test_protected_files_are_named_as_such(client: Client, cues: Path, clip: Path, tmp_path: Path) -> None:
    key = ("-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb", "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8")
    video = made(tmp_path / "v.mp4", (f"red {SMALL}", "440"), "-encryption_scheme", "cenc-aes-ctr", *key)
    sound = made(tmp_path / "a.m4a", ("440",), "-encryption_scheme", "cenc-aes-ctr", *key)
    for operation, inputs, field in (
        (CAPTION, {"url_video": video, "url_srt": cues}, "url_video"),
        (ADDAUDIO, {"url_video": clip, "url_audio": sound}, "url_audio"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.encode(operation, inputs)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert (caught.value.details() or "").startswith(f"{field}: the file is protected")


async def test_mirrored_and_plain_videos_are_not_joined_as_copies(client: Client, tmp_path: Path) -> None:
    picture = "color=black:s=64x36:r=25:d=0.4,drawbox=w=20:color=white:t=fill"
    plain, mirrored, out = tmp_path / "plain.mp4", tmp_path / "mirrored.mp4", tmp_path / "o.mp4"
    media.run("-f", "lavfi", "-i", picture, *H264, plain)
    media.run("-display_hflip", "-i", plain, "-c", "copy", mirrored)
    await client.result(out, CONCAT, {"url_videos[0]": plain, "url_videos[1]": mirrored})
    bright = [bool(frame[:, :16].mean() > frame[:, -16:].mean()) for frame in judge.pictures(out, "gray")]
    assert bright == [True] * 10 + [False] * 10


async def test_pictures_turned_by_an_odd_angle_keep_their_size(client: Client, cues: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "v.mp4", tmp_path / "o.mp4"
    media.run("-display_rotation", "60", "-i", media.grey_video(tmp_path / "p.mp4", 0.2, "64x36"), "-c", "copy", video)
    summary = await client.result(out, CAPTION, {"url_video": video, "url_srt": cues})
    assert (summary.width, summary.height) == (64, 36)
    with av.open(str(out)) as container:
        assert np.ptp(next(container.decode(video=0)).to_ndarray(format="gray")) > 0
