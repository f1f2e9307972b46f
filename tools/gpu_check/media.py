"""Clips to check with, and what is found in the results by decoding and by reading their headers."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from encoder.codecs.nvenc.levels import LEVELS
from tools.samples import X264, ffmpeg, ffmpeg_binary

CUES = "1\n00:00:00,200 --> 00:00:00,800\nMeasured\n"
HEADER = re.compile(r"\] +\d+ +([a-z_0-9]+(?:\[\d+\])*) +[01]+ = (-?\d+)")
GRAY_SIZE = (160, 90)


def _number(form: str, name: str) -> int:
    """Return what the header of a format calls a level."""
    major, _, minor = name.partition(".")
    whole, part = int(major), int(minor or 0)
    return {"h264": 10 * whole + part, "hevc": 30 * whole + 3 * part, "av1": 4 * (whole - 2) + part}[form]


CAPS = {
    form: {_number(form, one.name): (one.main_kbits, one.high_kbits or one.main_kbits) for one in levels}
    for form, levels in LEVELS.items()
}
"""Kilobits a second that a level allows, by its number in the header, in the tiers Main and High."""
FIELDS = {
    "h264": ("level_idc", ""),
    "hevc": ("general_level_idc", "general_tier_flag"),
    "av1": ("seq_level_idx[0]", "seq_tier[0]"),
}
"""Names of level and tier in a header."""


def make_clip(path: Path, source: str, *options: str) -> Path:
    """Make a clip of a source of FFmpeg's, as H.264 unless `options` say otherwise."""
    ffmpeg("-f", "lavfi", "-i", source, *(options or X264), str(path))
    return path


@dataclass(frozen=True)
class Facts:
    """What decoding shows: size, types of the frames as they are shown ("IBBP…"), their times in seconds; kilobits a
    second in all, and of the second that has the most."""

    width: int
    height: int
    types: str
    times: tuple[float, ...]
    kilobits: float
    peak_kilobits: float

    @property
    def keys(self) -> list[int]:
        """The numbers of the frames of type I."""
        return [number for number, kind in enumerate(self.types) if kind == "I"]


def facts(path: Path) -> Facts:
    """Decode a video. Raises av.FFmpegError for what cannot be decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        frames = list(container.decode(stream))
        types = "".join(av.video.frame.PictureType(frame.pict_type).name[0] for frame in frames)
        times = tuple(frame.time or 0.0 for frame in frames)
        width, height = frames[0].width, frames[0].height
    by_second = _bytes_by_second(path)
    length = max(times[-1] + (times[-1] - times[-2] if len(times) > 1 else 1.0), 1e-3)
    total = sum(by_second.values())
    # The last second is seldom a whole one.
    whole = [size for second, size in by_second.items() if second + 1 <= length] or [total / length]
    return Facts(width, height, types, times, total * 8 / 1000 / length, max(whole) * 8 / 1000)


def _bytes_by_second(path: Path) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size and packet.dts is not None and packet.time_base is not None:
                found[int(max(float(packet.dts * packet.time_base), 0.0))] += packet.size
    return found


def difference(one: Path, other: Path) -> float:
    """Return how far the pictures of two videos are apart: the mean of their levels of gray, 0 to 255, small."""
    pairs = zip(_gray(one), _gray(other), strict=True)
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairs]))


def _gray(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        width, height = GRAY_SIZE
        frames = (frame.reformat(width, height, "gray") for frame in container.decode(video=0))
        return [frame.to_ndarray() for frame in frames]


def steps(times: Sequence[float]) -> list[int]:
    """Return the milliseconds from each time to the next."""
    return [round((later - earlier) * 1000) for earlier, later in pairwise(times)]


def headers(path: Path) -> dict[str, int]:
    """Return the fields of the first sequence header of a video, by the names of its standard."""
    traced = ("-map", "0:v", "-c", "copy", "-frames:v", "1", "-bsf:v", "trace_headers", "-f", "null", "-")
    command = [ffmpeg_binary(), "-nostdin", "-v", "info", "-i", str(path), *traced]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    found: dict[str, int] = {}
    for name, value in HEADER.findall(done.stderr):
        found.setdefault(name, int(value))
    return found


@dataclass(frozen=True)
class Level:
    """The level of a video and its tier, as its header numbers them, and the kilobits a second that they allow; 0 where
    that is not known."""

    number: int
    tier: int
    cap_kilobits: int


def level(form: str, fields: dict[str, int]) -> Level:
    """Return the level that the header of a video in a format names."""
    level_name, tier_name = FIELDS[form]
    number, tier = fields.get(level_name, -1), fields.get(tier_name, 0)
    return Level(number, tier, CAPS[form].get(number, (0, 0))[tier])
