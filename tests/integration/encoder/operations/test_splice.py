"""Films of which captions touch a part: what is not touched is copied bit by bit, what is encoded fits between; or all
is encoded, and it is told why."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media, odd_videos
from tests.support.odd_videos import OddVideo

Client = encoder_harness.Client
CUE = (2.58, 2.88)
# For so long the result may differ from the source: until the next IDR picture, which some have not.
FULL = 1.0


@dataclass(frozen=True)
class Packets:
    """The packets of a video, in the order of decoding, and when they are shown and decoded."""

    data: list[bytes]
    shown: list[float]
    decoded: list[float]
    matrix: tuple[int, ...]


def read(path: Path) -> Packets:
    with av.open(str(path)) as container:
        begin = (container.start_time or 0) / av.time_base
        found = [packet for packet in container.demux(video=0) if packet.size]
        base = float(container.streams.video[0].time_base or 0)
        shown = [(packet.pts or 0) * base - begin for packet in found]
        decoded = [packet.dts * base - begin for packet in found if packet.dts is not None]
        return Packets([bytes(packet) for packet in found], shown, decoded, matrix_of(path))


def matrix_of(path: Path) -> tuple[int, ...]:
    """How pictures are turned for who plays them."""
    with av.open(str(path)) as container:
        told = next(container.decode(video=0)).side_data.get(SideDataType.DISPLAYMATRIX)
        return tuple(np.frombuffer(bytes(told), np.int32).tolist()) if told is not None else ()


def sound(path: Path) -> tuple[list[float], list[bytes]]:
    """When each packet of the sound is heard, and its bytes."""
    with av.open(str(path)) as container:
        begin = (container.start_time or 0) / av.time_base
        if not container.streams.audio:
            return [], []
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        times = [float((packet.pts or 0) * packet.time_base) - begin for packet in packets]
        return times, [bytes(packet) for packet in packets]


async def captioned(
    client: Client, folder: Path, video: Path, *spans: tuple[float, float], **options: object
) -> tuple[Path, encoder_pb2.Summary]:
    cues = media.srt(folder / "s.srt", [(start, end, "Words") for start, end in spans or (CUE,)])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", **options)
    out = folder / "out.mp4"
    summary = await client.result(out, video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    return out, summary


def check_spliced(source: Path, out: Path, summary: encoder_pb2.Summary) -> None:
    """All is as it was, but for the run of frames around the cue."""
    before, after = read(source), read(out)
    assert after.matrix == before.matrix
    assert len(before.data) == len(after.data)
    same = [one == other for one, other in zip(before.data, after.data, strict=True)]
    assert summary.frames_copied == sum(same) >= 50
    assert sorted(after.shown) == pytest.approx(sorted(before.shown), abs=1e-6)
    if len(before.decoded) == len(before.data):
        assert after.shown[0] == pytest.approx(before.shown[0], abs=1e-6)
        copied = [number for number, is_same in enumerate(same) if is_same]
        assert [after.decoded[n] for n in copied] == pytest.approx([before.decoded[n] for n in copied], abs=1e-6)
    assert all(one < other for one, other in pairwise(after.decoded))
    # No picture that was copied looks otherwise, whatever stands before it; those of the run are near, but for words.
    ranks = np.argsort(before.shown)
    theirs, ours = judge.pictures(source), judge.pictures(out)
    assert len(theirs) == len(ours) == len(same)
    for rank, number in enumerate(ranks):
        gap = np.abs(theirs[rank].astype(int) - ours[rank])
        assert gap.max() == 0 if same[number] else gap.mean() < 40, rank
    times = np.sort(before.shown)
    lit = [judge.differing(*pair, 128).any() for pair in zip(theirs, ours, strict=True)]
    inside = (times > CUE[0] - 1e-6) & (times < CUE[1] - 1e-6)  # far on, clocks are less exact
    assert all(np.array(lit)[inside])
    (heard, packets), (heard_before, packets_before) = sound(out), sound(source)
    assert packets == packets_before
    assert heard == pytest.approx(heard_before, abs=1.1e-3)  # Matroska rounds


async def check(client: Client, folder: Path, odd: OddVideo) -> None:
    source = odd.make(folder)
    out, summary = await captioned(client, folder, source)
    if not odd.whole_reason:
        assert summary.whole_reason == ""
        check_spliced(source, out, summary)
    else:
        assert (summary.frames_copied, odd.whole_reason in summary.whole_reason) == (0, True), summary.whole_reason
    assert judge.facts(out).frames == summary.frames


def parameters(odd: Mapping[str, object]) -> list[object]:
    return [pytest.param(one, id=name) for name, one in odd.items()]


@pytest.mark.parametrize("odd", parameters(odd_videos.FEW))
async def test_a_video_is_spliced_or_encoded_whole(client: Client, tmp_path: Path, odd: OddVideo) -> None:
    await check(client, tmp_path, odd)


@pytest.mark.long
@pytest.mark.parametrize("odd", parameters(odd_videos.MORE))
async def test_a_video_of_rare_structure_too(client: Client, tmp_path: Path, odd: OddVideo) -> None:
    await check(client, tmp_path, odd)


async def test_captions_stand_upright_in_a_film_that_its_container_turns(client: Client, tmp_path: Path) -> None:
    grey = media.grey_video(tmp_path / "grey.mp4", 5, "320x180", 25, "-g", "25")
    source = tmp_path / "phone.mp4"
    media.run("-display_rotation", "-90", "-i", grey, "-c", "copy", source)
    out, summary = await captioned(client, tmp_path, source)
    assert (summary.frames_copied > 50, summary.width, summary.height) == (True, 180, 320)
    shown = tmp_path / "shown.png"
    media.run("-ss", "2.7", "-i", out, "-frames:v", "1", shown)
    lit = np.argwhere(judge.pictures(shown, "gray")[0] > 200)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0)
    # A line of letters near the lower edge of a picture that is higher than it is wide.
    assert 220 < top < bottom < 320
    assert right - left > 2 * (bottom - top)


async def test_samples_of_full_range_stay_so_beside_those_that_are_copied(client: Client, tmp_path: Path) -> None:
    source = odd_videos.MORE["full-range"].make(tmp_path)
    out, summary = await captioned(client, tmp_path, source)
    assert summary.frames_copied >= 50
    with av.open(str(out)) as container:
        assert {frame.color_range for frame in container.decode(video=0)} == {ColorRange.JPEG}
    # Where no caption is, new frames are as bright as the old ones were.
    pairs = zip(judge.pictures(source, "gray"), judge.pictures(out, "gray"), strict=True)
    gaps = [np.abs(one[:32].astype(int) - other[:32]).mean() for one, other in pairs]
    assert max(gaps) < 5


async def test_a_film_that_was_spliced_is_spliced_again(client: Client, tmp_path: Path) -> None:
    source = odd_videos.FEW["pyramid"].make(tmp_path)
    once, first = await captioned(client, tmp_path, source, (0.2, 0.5))
    again = once.rename(tmp_path / "once.mp4")
    out, second = await captioned(client, tmp_path, again)
    assert first.frames_copied > 90
    check_spliced(again, out, second)


async def test_frames_are_counted_as_done_that_need_no_encoding(client: Client, tmp_path: Path) -> None:
    source = odd_videos.FEW["pyramid"].make(tmp_path)
    cues = media.srt(tmp_path / "s.srt", [(0.5, 0.6, "One"), (3.5, 3.6, "Two")])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    done = await client.encode(video_pb2.Operation(caption=request), {"url_video": source, "url_srt": cues})
    assert done.summary is not None
    told = [progress.frames_done for progress in done.progress]
    assert told == sorted(told)
    assert told[0] >= done.summary.frames_copied
    assert (told[-1], {progress.frames_total for progress in done.progress}) == (125, {125})


async def test_all_is_encoded_where_captions_are_nearly_everywhere_or_it_is_asked_for(
    client: Client, tmp_path: Path
) -> None:
    source = odd_videos.FEW["pyramid"].make(tmp_path)
    _, much = await captioned(client, tmp_path, source, (0.5, 4.5))
    assert (much.frames_copied, "frames" in much.whole_reason) == (0, True)
    _, asked = await captioned(client, tmp_path, source, encode_all=True)
    assert (asked.frames_copied, asked.whole_reason) == (0, "encode_all was asked for")
    _, live = await captioned(client, tmp_path, source, container=video_pb2.CONTAINER_FRAGMENTED_MP4)
    assert (live.frames_copied, "while it is made" in live.whole_reason) == (0, True)


async def test_a_film_whose_captions_come_after_its_end_is_copied(client: Client, tmp_path: Path) -> None:
    source = odd_videos.FEW["late-picture"].make(tmp_path)
    out, summary = await captioned(client, tmp_path, source, (0.1, 0.4))  # before the first picture
    assert (summary.codec, summary.frames_copied) == ("copy", 125)
    assert read(out).data == read(source).data
    assert read(out).shown == pytest.approx(read(source).shown, abs=1e-6)


def run_of(path: Path, folder: Path, first: int, last: int) -> Path:
    """The upper half of some frames, which no caption touches, without loss."""
    kept = f"crop=iw:ih/2:0:0,trim=start_frame={first}:end_frame={last + 1},setpts=PTS-STARTPTS"
    out = folder / f"{path.parent.name}-{path.stem}.mkv"
    media.run("-i", path, "-vf", kept, "-c:v", "ffv1", "-an", out)
    return out


async def test_a_run_looks_as_good_as_in_a_whole_encode(client: Client, tmp_path: Path) -> None:
    source, films = tmp_path / "source.mp4", {}
    moving = "testsrc2=size=320x240:rate=25:duration=4,noise=alls=6:allf=t,format=yuv420p"
    media.run("-f", "lavfi", "-i", moving, "-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "25", source)
    for name, encode_all in (("spliced", False), ("whole", True)):
        (tmp_path / name).mkdir()
        films[name], summary = await captioned(client, tmp_path / name, source, (1.2, 2.2), encode_all=encode_all)
        assert (summary.frames_copied > 0) is not encode_all
    same = [one == other for one, other in zip(read(source).data, read(films["spliced"]).data, strict=True)]
    encoded = same.index(False), len(same) - 1 - same[::-1].index(False)
    reference = run_of(source, tmp_path, *encoded)
    spliced, whole = (judge.vmaf(run_of(films[name], tmp_path, *encoded), reference) for name in ("spliced", "whole"))
    assert spliced > whole - 0.5
