"""Pictures as they come from cameras and broadcasts: high dynamic range, ten bits, interlaced, RGB, full range."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.integration.encoder.operations.test_caption import captioned
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
CHART = "testsrc2=size=320x180:rate=25:duration=0.4"
TO_709 = "scale=in_range=full:out_color_matrix=bt709,format=yuv420p"
TAGS = ["-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", "-color_range", "tv"]


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A caption between two frames of 25 a second: the picture alone is judged."""
    return media.srt(tmp_path_factory.mktemp("late") / "late.srt", [(0.21, 0.23, "late")])


def colors(path: Path) -> np.ndarray:
    return judge.pictures(path)[4].astype(int)


@pytest.fixture(scope="module")
def standard(media_dir: Path) -> Path:
    """The chart in standard dynamic range, all but without loss."""
    path = media_dir / "standard.mp4"
    media.run("-f", "lavfi", "-i", CHART, "-vf", TO_709, "-c:v", "libx264", "-crf", "4", *TAGS, path)
    return path


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
async def test_high_dynamic_range_becomes_standard(
    client: Client, standard: Path, late: Path, tmp_path: Path, transfer: str
) -> None:
    """The same chart, its white at 203 cd/m²: dark and middle tones come out as they are in standard range."""
    video = tmp_path / "hdr.mp4"
    given, wanted = "tin=709:pin=709:min=709:rin=limited", f"t={transfer}:p=2020:m=2020_ncl:r=limited:npl=203"
    graph = f"zscale={given}:{wanted},format=yuv420p10le"
    tags = ["-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv"]
    quiet = ["-x265-params", "log-level=none", "-crf", "4", "-tag:v", "hvc1"]
    media.run("-i", standard, "-vf", graph, "-c:v", "libx265", *quiet, *tags, video)
    out = await captioned(client, tmp_path / "o.mp4", video, late)
    assert judge.facts(out).pixel_format == "yuv420p"
    wanted, made = colors(standard), colors(out)
    plain = tmp_path / "plain.mp4"
    media.run("-i", video, "-pix_fmt", "yuv420p", "-c:v", "libx264", plain)
    ours, untreated = np.abs(wanted - made).mean(), np.abs(wanted - colors(plain)).mean()
    assert ours < 0.6 * untreated
    assert ours < 22


async def test_ten_bits_become_eight(client: Client, standard: Path, late: Path, tmp_path: Path) -> None:
    video = tmp_path / "ten.mp4"
    media.run("-i", standard, "-pix_fmt", "yuv420p10le", "-c:v", "libx264", "-crf", "4", *TAGS, video)
    out = await captioned(client, tmp_path / "o.mp4", video, late)
    assert (judge.facts(out).pixel_format, judge.facts(out).profile) == ("yuv420p", "High")
    assert np.abs(colors(standard) - colors(out)).mean() < 4


@pytest.mark.parametrize("form", ["bgr0", "gbrp", "yuvj420p", "yuv444p", "yuv422p", "gray"])
async def test_colors_stay_whatever_they_are_stored_as(
    client: Client, standard: Path, late: Path, tmp_path: Path, form: str
) -> None:
    video = tmp_path / "v.mkv"
    codec = ["-c:v", "mjpeg", "-q:v", "1"] if form == "yuvj420p" else ["-c:v", "ffv1"]
    media.run("-i", standard, "-vf", f"scale=in_color_matrix=bt709,format={form}", *codec, video)
    out = await captioned(client, tmp_path / "o.mp4", video, late)
    assert np.abs(colors(video) - colors(out)).mean() < 6


BAR = "color=black:size=320x180:rate=50:d={},geq=lum='if(between(mod(X+320-N*12,320),0,40),235,16)':cb=128:cr=128"


def combs(path: Path, number: int) -> float:
    """How much the lines of one frame differ from those beside them."""
    frame = judge.pictures(path, "gray")[number].astype(int)
    return float(np.abs(2 * frame[1:-1] - frame[:-2] - frame[2:]).mean())


async def test_interlaced_pictures_lose_their_combs(client: Client, late: Path, tmp_path: Path) -> None:
    video = tmp_path / "i.mp4"
    coded = ["-c:v", "libx264", "-flags", "+ilme+ildct"]
    media.run("-f", "lavfi", "-i", f"{BAR.format(1)},interlace=scan=tff:lowpass=off", *coded, video)
    out = await captioned(client, tmp_path / "o.mp4", video, late)
    assert combs(out, 10) < 0.2 * combs(video, 10)
    assert judge.facts(out).times == pytest.approx(judge.facts(video).times, abs=0.001)


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
async def test_pictures_that_are_interlaced_later_on_lose_their_combs(
    client: Client, late: Path, tmp_path: Path, codec: str
) -> None:
    video, parts = tmp_path / "v.ts", [tmp_path / "p.ts", tmp_path / "i.ts"]
    options = ["-c:v", codec, "-q:v", "3"]
    media.run("-f", "lavfi", "-i", f"{BAR.format(0.4)},fps=25", *options, parts[0])
    woven = f"{BAR.format(0.8)},interlace=scan=tff:lowpass=off"
    media.run("-f", "lavfi", "-i", woven, *options, "-flags", "+ilme+ildct", "-output_ts_offset", "0.4", parts[1])
    video.write_bytes(b"".join(part.read_bytes() for part in parts))
    out = await captioned(client, tmp_path / "o.mp4", video, late)
    assert combs(out, 20) < 0.2 * combs(video, 20)
    before, after = judge.facts(video).times, judge.facts(out).times
    assert np.subtract(after, after[0]) == pytest.approx(np.subtract(before, before[0]), abs=0.001)


async def test_pictures_too_small_to_be_interlaced(client: Client, late: Path, tmp_path: Path) -> None:
    video = media.grey_video(tmp_path / "v.mp4", 0.4, "2x2")
    assert judge.facts(await captioned(client, tmp_path / "o.mp4", video, late)).times == judge.facts(video).times


async def test_names_of_audio_streams_stay(client: Client, late: Path, tmp_path: Path) -> None:
    video = tmp_path / "two.mkv"
    inputs = ["-f", "lavfi", "-i", "sine=440:d=1", "-f", "lavfi", "-i", "sine=880:d=1"]
    names = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=por", "-metadata:s:a:1", "title=Comments"]
    media.run("-f", "lavfi", "-i", CHART, *inputs, *["-map", "0", "-map", "1", "-map", "2"], *names, video)
    out = await captioned(client, tmp_path / "o.mp4", video, late)

    with av.open(str(out)) as container:
        told = [dict(stream.metadata) for stream in container.streams.audio]
    assert [one["language"] for one in told] == ["eng", "por"]
