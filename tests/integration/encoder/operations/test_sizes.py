"""Pictures that change their size in mid-file, as calls are recorded: all are seen whole, in the largest size."""

from pathlib import Path

import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
CONCAT = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["v", "w"]))
THUMBNAIL = video_pb2.Operation(thumbnail=video_pb2.ThumbnailRequest(url_video="v", at_seconds=0.1))
# Pictures of the call: a small one, one that is wide, one that stands on end. Each is white with a gray middle.
SIZES = ("96x54", "256x144", "80x142")
KINDS = {
    "vp8.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"),
    "h264.ts": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "h264.mkv": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "h264.mp4": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "hevc.ts": ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-q:v", "2"),
}


def call(folder: Path, name: str, sizes: tuple[str, ...] = SIZES) -> Path:
    """A recording of 0.4 s in each size, 10 pictures each."""
    codec, ending = name.split(".")
    coarse = "webm" if ending == "webm" else "ts"
    parts = []
    for number, size in enumerate(sizes):
        width, height = map(int, size.split("x"))
        middle = f"drawbox=x={width // 4}:y={height // 4}:w={width // 2}:h={height // 2}:color=gray:t=fill"
        part = folder / f"{codec}{number}.{coarse}"
        offset = ("-output_ts_offset", f"{0.4 * number:.1f}")
        source = f"color=white:s={size}:r=25:d=0.4,{middle}"
        media.run("-f", "lavfi", "-i", source, *KINDS[name], "-g", "10", *offset, part)
        parts.append(part)
    joined = folder / f"{codec}.{coarse}"
    if coarse == "ts":
        joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    else:
        listed = folder / "list.txt"
        listed.write_text("ffconcat version 1.0\n" + "".join(f"file {part.name}\nduration 0.4\n" for part in parts))
        media.run("-f", "concat", "-i", listed, "-c", "copy", joined)
    path = folder / f"call-{name}"
    media.run("-i", joined, "-c", "copy", path)
    return path


def boxes(path: Path) -> list[tuple[int, int, int, int]]:
    """Where the picture is that stands between bars: left, top, right, bottom of what is not black, of each frame."""
    found = []
    for frame in judge.pictures(path, "gray"):
        rows, columns = np.nonzero(frame > 90)
        found.append((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
    return found


# In 256×144: the first two fill it, the third is as high, and 80/142 as wide.
FITTED = ((0, 0, 256, 144), (0, 0, 256, 144), (88, 0, 168, 144))


@pytest.mark.parametrize("name", KINDS)
async def test_pictures_of_any_size_are_seen_whole(client: Client, sound: Path, tmp_path: Path, name: str) -> None:
    video, out = call(tmp_path, name), tmp_path / "o.mp4"
    late = media.srt(tmp_path / "late.srt", [(1.1, 1.15, ".")])
    for operation, inputs in (
        (CAPTION, {"url_video": video, "url_srt": late}),
        (ADDAUDIO, {"url_video": video, "url_audio": sound}),
        (CONCAT, {"url_videos[0]": video, "url_videos[1]": video}),
    ):
        summary = await client.result(out, operation, inputs)
        assert (summary.width, summary.height) == (256, 144)
        found = boxes(out)
        if operation is CONCAT:
            assert len(found) == pytest.approx(60, abs=4)  # parts of some codecs overlap by a picture or two
        else:
            assert len(found) == len(judge.pictures(video, "gray"))
        for number, expected in ((4, FITTED[0]), (14, FITTED[1]), (24, FITTED[2])):
            assert found[number] == pytest.approx(expected, abs=3), (operation.WhichOneof("kind"), number)
        assert [w.reason for w in summary.warnings] == ["SIZE_CHANGES"]
        assert summary.warnings[0].metadata["sizes"] == "96×54, 256×144, 80×142"


async def test_probe_tells_of_sizes_that_change(client: Client, tmp_path: Path) -> None:
    asked = video_pb2.Operation(probe=video_pb2.ProbeRequest(url="v"))
    summary = (await client.encode(asked, {"url": call(tmp_path, "vp8.webm")})).summary
    assert summary is not None
    assert (summary.media.video[0].width, summary.media.video[0].height) == (256, 144)
    assert [warning.metadata["sizes"] for warning in summary.warnings] == ["96×54, 256×144, 80×142"]


async def test_captions_are_of_one_size_over_all(client: Client, tmp_path: Path) -> None:
    video, out = call(tmp_path, "vp8.webm"), tmp_path / "o.mp4"
    words = media.srt(tmp_path / "s.srt", [(0, 1, "<font color=#0000ff>HHHH</font>")])
    await client.result(out, CAPTION, {"url_video": video, "url_srt": words})
    heights = []
    for number in (4, 14):
        frame = judge.pictures(out)[number].astype(int)
        rows = np.nonzero(frame[:, :, 2] - frame[:, :, 0] > 40)[0]
        heights.append(int(rows.max() - rows.min()))
    assert heights[0] == pytest.approx(heights[1], abs=2)
    assert heights[0] > 3


async def test_a_picture_of_it_is_taken_in_the_largest_size(client: Client, tmp_path: Path) -> None:
    summary = await client.result(tmp_path / "o.jpg", THUMBNAIL, {"url_video": call(tmp_path, "vp9.webm")})
    assert (summary.width, summary.height) == (256, 144)


async def test_one_size_throughout_is_left_alone(client: Client, sound: Path, tmp_path: Path) -> None:
    video = call(tmp_path, "h264.mkv", ("96x54", "96x54"))
    summary = await client.result(tmp_path / "o.mp4", ADDAUDIO, {"url_video": video, "url_audio": sound})
    assert summary.codec == "copy"
    assert not summary.warnings
