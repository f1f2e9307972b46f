"""Runs of frames that NVENC makes stand between the untouched packets of a film of another encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.splice import h264
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver
from tests.support import judge, media

pytestmark = pytest.mark.nvenc

CUES = [(1.2, 1.6, "One"), (4.2, 4.6, "Two")]


def film(path: Path, *options: str, size: str = "320x180", seconds: float = 6) -> Path:
    return media.video(path, seconds, size, 25, True, "-preset", "medium", "-g", "25", *options)


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def set_numbers(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        record = h264.read_record(container.streams.video[0].codec_context.extradata or b"")
    return [h264.read_sps(unit).number for unit in record.sps]


async def captioned(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    folder: Path,
    source: Path,
    spans: Sequence[tuple[float, float, str]] = tuple(CUES),
    **settings: object,
) -> tuple[Path, encoder_pb2.Summary]:
    cues = media.srt(folder / "s.srt", list(spans))
    request = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
    out = folder / "out.mp4"
    with nvenc_encoder(driver, CODEC="nvenc", **settings) as encoder:
        async with encoder.client() as client:
            summary = await client.result(out, request, {"url_video": source, "url_srt": cues})
    return out, summary


@pytest.mark.parametrize("options", [("-bf", "3"), ("-bf", "0")], ids=["b-frames", "in-order"])
async def test_only_what_captions_touch_is_encoded(
    nvenc_encoder: NvencEncoder, driver: Driver, tmp_path: Path, options: tuple[str, ...]
) -> None:
    source = film(tmp_path / "film.mp4", *options)
    out, summary = await captioned(nvenc_encoder, driver, tmp_path, source)
    assert (summary.codec, summary.whole_reason) == ("nvenc", "")
    before, after = packets(source), packets(out)
    same = [one == other for one, other in zip(before, after, strict=True)]
    assert summary.frames_copied == sum(same) > 75
    assert set_numbers(out) == [0, 30]
    theirs, ours = judge.pictures(source, "gray"), judge.pictures(out, "gray")
    for rank, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        gap = np.abs(one.astype(int) - other)
        shown = any(start <= rank / 25 < end for start, end, _ in CUES)
        assert bool(gap[140:].max() > 100) == shown, rank
        assert gap[:90].mean() < 4, rank  # of a wrong picture it would be tens
    assert judge.facts(out).times == pytest.approx(judge.facts(source).times, abs=1e-6)


@pytest.mark.parametrize("begin", [0.0, 0.08], ids=["first-frame", "third-frame"])
async def test_what_is_encoded_may_begin_with_the_film(
    nvenc_encoder: NvencEncoder, driver: Driver, tmp_path: Path, begin: float
) -> None:
    """The first pictures are decoded before the time 0, which the pipe between the two runs cannot tell."""
    source = film(tmp_path / "film.mp4", "-bf", "3")
    out, summary = await captioned(nvenc_encoder, driver, tmp_path, source, [(begin, begin + 0.2, "One")])
    assert (summary.codec, summary.whole_reason, summary.frames_copied > 100) == ("nvenc", "", True)
    assert judge.facts(out).times == pytest.approx(judge.facts(source).times, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "settings", "reason"),
    [
        (("-profile:v", "baseline"), {}, "profile high"),
        (("-bf", "0", "-refs", "1"), {"NVENC_FORMAT": "hevc"}, "not H.265"),
        # The first run tells that others would not do either.
        (("-level", "1.1", "-refs", "1", "-bf", "0"), {}, "ask more of decoders"),
    ],
    ids=["profile", "format", "level"],
)
async def test_where_nvenc_cannot_keep_to_what_a_film_asks_of_decoders_all_is_encoded(
    nvenc_encoder: NvencEncoder,
    driver: Driver,
    tmp_path: Path,
    options: tuple[str, ...],
    settings: dict[str, Any],
    reason: str,
) -> None:
    source = film(tmp_path / "film.mp4", *options)
    out, summary = await captioned(nvenc_encoder, driver, tmp_path, source, **settings)
    assert (summary.codec, summary.frames_copied) == ("nvenc", 0)
    assert reason in summary.whole_reason
    assert judge.facts(out).frames == 150


async def test_parts_that_do_not_fit_are_encoded_among_those_that_do(
    nvenc_encoder: NvencEncoder, driver: Driver, tmp_path: Path
) -> None:
    one, other = film(tmp_path / "one.mp4"), film(tmp_path / "other.mp4", size="180x320", seconds=1)
    request = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["a", "b", "c"]))
    inputs: dict[str, Path | bytes] = {"url_videos[0]": one, "url_videos[1]": other, "url_videos[2]": one}
    with nvenc_encoder(driver, CODEC="nvenc") as encoder:
        async with encoder.client() as client:
            summary = await client.result(tmp_path / "out.mp4", request, inputs)
    assert (summary.codec, summary.frames_copied, summary.whole_reason) == ("nvenc", 300, "")
    before, after = packets(one), packets(tmp_path / "out.mp4")
    assert (after[:150], after[-150:], len(after)) == (before, before, 325)
    assert judge.facts(tmp_path / "out.mp4").frames == 325
