"""Containers × codecs × rotations × frame rates × kinds of subtitles, each result judged by decoding it.

A gray picture flashes white and beeps at half a second; a caption stands from one second to one and a half. The short
form takes every pair of container and codec once, with the other properties dealt out over them; `make long` takes
every combination.
"""

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
FLASH, SHOWN, GONE = 0.5, 1.0, 1.5
SIZE = "320x180"

CODECS = {
    "h264": ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"],
    "hevc": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"],
    "av1": ["-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"],
    "mpeg4": ["-c:v", "mpeg4", "-q:v", "3", "-bf", "2"],
    "mpeg2": ["-c:v", "mpeg2video", "-q:v", "3"],
    "mjpeg": ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"],
    "prores": ["-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"],
    "ffv1": ["-c:v", "ffv1"],
    "theora": ["-c:v", "libtheora", "-q:v", "7"],
    "wmv2": ["-c:v", "wmv2", "-q:v", "3"],
    "flv1": ["-c:v", "flv", "-q:v", "3"],
}
# Container: how it is written, its sound, and the codecs that it holds.
CONTAINERS = {
    "mp4": ([], "aac", ("h264", "hevc", "av1", "vp9", "mpeg4")),
    "fragmented.mp4": (["-movflags", "+frag_keyframe+empty_moov+delay_moov"], "aac", ("h264", "hevc")),
    "mov": ([], "pcm_s16le", ("h264", "prores", "mjpeg")),
    "mkv": ([], "flac", ("h264", "hevc", "ffv1", "mpeg2", "theora")),
    "webm": ([], "libopus", ("vp8", "vp9", "av1")),
    "avi": ([], "libmp3lame", ("mpeg4", "mjpeg", "h264")),
    "ts": (["-mpegts_start_pid", "300", "-output_ts_offset", "5"], "aac", ("h264", "hevc", "mpeg2")),
    "mpg": ([], "mp2", ("mpeg2",)),
    "flv": ([], "libmp3lame", ("h264", "flv1")),
    "wmv": ([], "wmav2", ("wmv2",)),
    "ogv": ([], "libvorbis", ("theora",)),
}
TURNABLE = ("mp4", "fragmented.mp4", "mov", "mkv")
ROTATIONS = (0, 90, 180, 270)
RATES = ("25", "24000/1001", "30000/1001", "50", "60", "uneven")
SUBTITLES = ("srt", "vtt", "ass")

PAIRS = [(container, codec) for container, (_, _, codecs) in CONTAINERS.items() for codec in codecs]
DEALT = [
    (container, codec, ROTATIONS[n % 4] if container in TURNABLE else 0, RATES[n % 6], SUBTITLES[n % 3])
    for n, (container, codec) in enumerate(PAIRS)
]
EVERY = [
    (*pair, rotation, rate, kind)
    for pair, rotation, rate, kind in itertools.product(PAIRS, ROTATIONS, RATES, SUBTITLES)
    if not rotation or pair[0] in TURNABLE
]
# These count frames at one rate, or hold no more than a rate of whole numbers.
STEADY = ("avi", "mpg", "ogv", "wmv", "flv")


def source(folder: Path, container: str, codec: str, rotation: int, rate: str) -> Path:
    """The test video, three seconds long."""
    if rate == "uneven":
        rate, timing = ("25", []) if container in STEADY else ("25", ["-fps_mode", "passthrough"])
        uneven = "" if container in STEADY else ",setpts='(N*0.04+mod(N,3)*0.008)/TB'"
    else:
        timing, uneven = [], ""
    if codec == "mpeg2" and rate not in ("25", "24000/1001", "30000/1001", "50", "60"):
        rate = "25"
    flash = f"drawbox=w={SIZE.split('x')[0]}:h=60:color=white:t=fill:enable='between(t,{FLASH},{FLASH + 0.1})'"
    picture = f"color=c=0x404040:size={SIZE}:rate={rate}:duration=3,{flash}{uneven},format=yuv420p"
    beep = f"aevalsrc='if(between(t,{FLASH},{FLASH + 0.1}),0.7*sin(2*PI*1000*t),0)':s=48000:d=3"
    options, sound, _ = CONTAINERS[container]
    straight = folder / f"straight.{container}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", beep]
    media.run(*inputs, *timing, *CODECS[codec], "-c:a", sound, "-strict", "-2", *options, straight)
    if not rotation:
        return straight
    turned = folder / f"turned.{container}"
    media.run("-display_rotation", str(rotation), "-i", straight, "-c", "copy", "-strict", "-2", *options, turned)
    return turned


def subtitles(kind: str) -> bytes:
    """One caption, as a file of the kind."""
    if kind == "srt":
        return b"1\n00:00:01,000 --> 00:00:01,500\nHHHHH\n"
    if kind == "vtt":
        return b"WEBVTT\n\n00:01.000 --> 00:01.500\nHHHHH\n"
    style = b"Format: Name, Fontname, Fontsize, PrimaryColour, Alignment\nStyle: Default,Arial,30,&H00FFFFFF,2\n"
    event = b"Format: Start, End, Style, Text\nDialogue: 0:00:01.00,0:00:01.50,Default,HHHHH\n"
    return b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n" + style + b"\n[Events]\n" + event


def begins_at(container: av.container.InputContainer) -> float:
    """What a player takes for the start, seconds: 0 in MP4, whatever comes first in the others."""
    return 0.0 if container.format.name.startswith("mov") else (container.start_time or 0) / av.time_base


def beeps_at(path: Path) -> float:
    """When the sound begins, seconds from the start of the file as a player counts them."""
    with av.open(str(path)) as container:
        first = next(frame.time or 0.0 for frame in container.decode(audio=0))
        start = begins_at(container)
    sound = np.abs(judge.samples(path))
    return float(np.flatnonzero(sound > 0.2)[0]) / judge.RATE + first - start


def shown(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Times from the start of the file, and frames as they are shown, of one brightness plane each."""
    with av.open(str(path)) as container:
        start = begins_at(container)
        times, frames = [], []
        for frame in container.decode(video=0):
            times.append(float(frame.pts * frame.time_base) - start)
            frames.append(np.rot90(frame.to_ndarray(format="gray"), round(frame.rotation / 90)))
        if container.format.name == "avi":  # which holds no times: those of the decoder come with its delay
            times = [time - times[0] for time in times]
    return times, frames


def flashes_at(times: list[float], frames: list[np.ndarray]) -> float:
    """When the picture first has white in it, seconds."""
    return next(time for time, frame in zip(times, frames, strict=True) if frame.max() > 150)


async def judged(client: Client, folder: Path, case: tuple[str, str, int, str, str]) -> None:
    container, codec, rotation, rate, kind = case
    video, out = source(folder, container, codec, rotation, rate), folder / "out.mp4"
    request = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
    await client.result(out, request, {"url_video": video, "url_srt": subtitles(kind)})
    times_before, before = shown(video)
    times, frames = shown(out)
    facts = judge.facts(out)
    assert (facts.codec, facts.pixel_format) == ("h264", "yuv420p")
    assert len(frames) == len(before)
    assert frames[0].shape == before[0].shape
    step = max(np.diff(times_before))
    # Sync: the flash comes as long before the beep as in the source, and the first and last frames keep their times.
    flashes = [flashes_at(times_before, before), flashes_at(times, frames)]
    assert flashes[1] == pytest.approx(FLASH, abs=step + 0.03)
    lead = [flash - beeps_at(path) for flash, path in zip(flashes, (video, out), strict=True)]
    assert lead[1] == pytest.approx(lead[0], abs=step)
    assert times[-1] - times[0] == pytest.approx(times_before[-1] - times_before[0], abs=step)
    # The caption: at the foot of the picture as it is shown, while it is due.
    height = frames[0].shape[0]
    lit = [bool((frame[height * 6 // 10 :] > 150).sum() > 30) for frame in frames]
    due = [t for t, on in zip(times, lit, strict=True) if on]
    due = [t for t in due if t > FLASH + 0.1 + step]  # turned, the flash reaches there too
    assert due[0] == pytest.approx(SHOWN, abs=step)
    assert due[-1] == pytest.approx(GONE - step, abs=step)


@pytest.mark.parametrize("case", DEALT, ids=lambda case: "-".join(map(str, case)).replace("/", ":"))
async def test_every_container_and_codec(client: Client, tmp_path: Path, case: tuple[str, str, int, str, str]) -> None:
    await judged(client, tmp_path, case)


@pytest.mark.long
@pytest.mark.parametrize("case", EVERY, ids=lambda case: "-".join(map(str, case)).replace("/", ":"))
async def test_every_combination(client: Client, tmp_path: Path, case: tuple[str, str, int, str, str]) -> None:
    await judged(client, tmp_path, case)
