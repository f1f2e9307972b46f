"""Runs of frames that NVENC makes of H.265 stand between the untouched packets of films of other encoders: what is
copied is as it was, by two decoders, and what is encoded fits; or all is encoded, and it is told why."""

import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.splice import hevc
from tests.integration.encoder.operations.test_splice import captioned, parameters, read, sound
from tests.nvdriver.driver import Driver
from tests.support import encoder_harness, judge, media, odd_hevc
from tests.support.missing import need
from tests.support.odd_hevc import OddHevc

pytestmark = pytest.mark.nvenc

Client = encoder_harness.Client
CUE = (2.58, 2.88)


@pytest.fixture(scope="module")
def hevc_encoder(
    certs: Path, nvdriver_libraries: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[encoder_harness.Encoder]:
    """An encoder whose card makes H.265."""
    folder = tmp_path_factory.mktemp("encoder")
    driver = Driver(nvdriver_libraries, folder / "nvdriver.log", folder / "nvdriver.control")
    settings = {**driver.environment(), "CODEC": "nvenc", "NVENC_FORMAT": "hevc"}
    with encoder_harness.running(certs, folder, settings) as encoder:
        yield encoder


@pytest.fixture
async def cards(hevc_encoder: encoder_harness.Encoder) -> AsyncIterator[Client]:
    async with hevc_encoder.client() as client:
        yield client


def by_time(path: Path) -> list[bytes]:
    found = read(path)
    return [data for _, data in sorted(zip(found.shown, found.data, strict=True))]


def set_numbers(path: Path) -> tuple[list[int], list[int], list[int]]:
    with av.open(str(path)) as container:
        record = hevc.read_record(container.streams.video[0].codec_context.extradata or b"")
    sequences = [hevc.read_sps(unit).number for unit in record.sps]
    return [*map(hevc.vps_number, record.vps)], sequences, [*map(hevc.pps_number, record.pps)]


def by_de265(path: Path, size: tuple[int, int]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """The frames of a video as libde265 decodes them, each as the bytes of yuv420p."""
    out = path.with_suffix(".yuv")
    words = ["filesrc", f"location={path}", "!", "qtdemux", "!", "h265parse", "!", "libde265dec", "!"]
    words += ["video/x-raw,format=I420", "!", "videoconvert", "!", f"video/x-raw,width={size[0]},height={size[1]}"]
    # Rows of planes have whole words there.
    subprocess.run(["gst-launch-1.0", "-q", *words, "!", "filesink", f"location={out}"], check=True, timeout=60)
    return np.fromfile(out, np.uint8).reshape(-1, size[0] * size[1] * 3 // 2)


def check_spliced(source: Path, out: Path, summary: encoder_pb2.Summary, most: int, apart: float = 0) -> None:
    before, after = by_time(source), by_time(out)
    assert len(before) == len(after)
    links = [number for number, pair in enumerate(zip(before, after, strict=True)) if is_link(*pair)]
    same = [one == other or n in links for n, (one, other) in enumerate(zip(before, after, strict=True))]
    assert summary.frames_copied == sum(same) >= len(same) - most
    assert len(links) <= 1
    given, found = read(source), read(out)
    assert found.matrix == given.matrix
    assert sorted(found.shown) == pytest.approx(sorted(given.shown), abs=1e-6)
    assert found.shown[0] == pytest.approx(given.shown[0], abs=1e-6)
    assert all(one < other for one, other in pairwise(found.decoded))
    if len(given.decoded) == len(given.data):
        assert found.decoded == pytest.approx(given.decoded, abs=1e-6)
    times = sorted(found.shown)
    frames = judge.pictures(out, "yuv420p")
    theirs = judge.pictures(source, "yuv420p")
    height, width = judge.pictures(source, "gray")[0].shape
    for rank, (one, other) in enumerate(zip(theirs, frames, strict=True)):
        gap = np.abs(one.astype(int) - other)
        assert gap.max() == 0 if same[rank] else gap[: height // 2].mean() < 8, rank
        if CUE[0] < times[rank] < CUE[1]:
            assert gap[height // 2 : height].max() > 60, rank
    assert sound(out)[1] == sound(source)[1]
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_tag == "hvc1"
    if summary.width == width:
        need("gst-launch-1.0")
        shown = by_de265(out, (width, height))
        assert len(shown) == len(frames)
        gaps = [np.abs(one.astype(int) - other.ravel()).mean() for one, other in zip(shown, frames, strict=True)]
        assert max(gaps) <= apart, gaps


def is_link(before: bytes, after: bytes) -> bool:
    return before != after and hevc.broken_link(before, 4) == after


async def check(cards: Client, folder: Path, odd: OddHevc) -> None:
    source = odd.make(folder)
    out, summary = await captioned(cards, folder, source)
    assert summary.codec == "nvenc"
    if odd.whole_reason:
        assert (summary.frames_copied, odd.whole_reason in summary.whole_reason) == (0, True), summary.whole_reason
    else:
        assert summary.whole_reason == ""
        check_spliced(source, out, summary, odd.most, odd.apart)
    assert judge.facts(out).frames == summary.frames


@pytest.mark.parametrize("odd", parameters(odd_hevc.FEW))
async def test_a_video_is_spliced_or_encoded_whole(cards: Client, tmp_path: Path, odd: OddHevc) -> None:
    await check(cards, tmp_path, odd)


@pytest.mark.long
@pytest.mark.parametrize("odd", parameters(odd_hevc.MORE))
async def test_a_video_of_rare_structure_too(cards: Client, tmp_path: Path, odd: OddHevc) -> None:
    await check(cards, tmp_path, odd)


async def test_a_film_that_was_spliced_is_spliced_again_and_found_by_seeking(cards: Client, tmp_path: Path) -> None:
    source = odd_hevc.FEW["pyramid"].make(tmp_path)
    once, first = await captioned(cards, tmp_path, source, (0.4, 0.7), (4.3, 4.5))
    assert (first.whole_reason, set_numbers(once)) == ("", ([0, 15], [0, 15], [0, 30]))
    again = once.rename(tmp_path / "once.mp4")
    out, second = await captioned(cards, tmp_path, again)
    check_spliced(again, out, second, 75)
    assert set_numbers(out) == ([0, 15, 14], [0, 15, 14], [0, 30, 29])
    frames, chance = judge.pictures(out, "gray"), random.Random(3)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        for number in chance.sample(range(len(frames)), 25):
            at = number / odd_hevc.RATE
            # The pictures that lead to a keyframe are skipped where a decoder begins with it, of the source too.
            container.seek(round((at - 0.3) / float(stream.time_base or 1)), stream=stream)
            found = next(frame for frame in container.decode(stream) if (frame.time or 0) > at - 0.02)
            assert round((found.time or 0) * odd_hevc.RATE) == number
            assert np.array_equal(found.to_ndarray(format="gray"), frames[number]), number


async def test_several_runs_stand_in_a_film_the_first_at_its_beginning(cards: Client, tmp_path: Path) -> None:
    source = odd_hevc.with_open_groups(tmp_path, 12)
    out, summary = await captioned(cards, tmp_path, source, (0.0, 0.1), (2.9, 3.02), (8.0, 8.04))
    before, after = by_time(source), by_time(out)
    links = [number for number, pair in enumerate(zip(before, after, strict=True)) if is_link(*pair)]
    same = [one == other or n in links for n, (one, other) in enumerate(zip(before, after, strict=True))]
    assert (links, summary.frames_copied, summary.whole_reason) == ([25, 100, 225], sum(same), "")
    theirs, ours = judge.pictures(source, "yuv420p"), judge.pictures(out, "yuv420p")
    assert all(
        np.array_equal(*pair) for pair, is_same in zip(zip(theirs, ours, strict=True), same, strict=True) if is_same
    )
    need("gst-launch-1.0")
    assert np.array_equal(by_de265(out, (320, 180)), np.array([frame.ravel() for frame in ours]))


async def test_a_part_with_which_decoders_drop_what_was_not_shown_is_not_copied_behind_another(
    cards: Client, tmp_path: Path
) -> None:
    part, out = odd_hevc.MORE["first-that-would-drop"].make(tmp_path), tmp_path / "out.mp4"
    request = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["a", "b"]))
    summary = await cards.result(out, request, {"url_videos[0]": part, "url_videos[1]": part})
    assert (summary.codec, summary.frames_copied, "begin anew" in summary.whole_reason) == ("nvenc", 0, True)
    assert len(judge.pictures(out, "gray")) == 250


async def test_parts_that_do_not_fit_are_encoded_among_those_that_do(cards: Client, tmp_path: Path) -> None:
    one = odd_hevc.FEW["plain"].make(tmp_path)
    other = media.video(tmp_path / "other.mp4", 1, "180x320", 25, True)
    request = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["a", "b", "c"]))
    out = tmp_path / "out.mp4"
    inputs: dict[str, Path | bytes] = {"url_videos[0]": one, "url_videos[1]": other, "url_videos[2]": one}
    summary = await cards.result(out, request, inputs)
    assert (summary.codec, summary.frames_copied, summary.whole_reason) == ("nvenc", 250, "")
    before, after = read(one).data, read(out).data
    assert (after[:125], after[-125:], len(after)) == (before, before, 275)
    shown, theirs = judge.pictures(out, "yuv420p"), judge.pictures(one, "yuv420p")
    assert np.array_equal(shown[:125], theirs)
    assert np.array_equal(shown[-125:], theirs)
    need("gst-launch-1.0")
    assert np.array_equal(by_de265(out, (320, 180)), np.array([frame.ravel() for frame in shown]))
