"""VMAF: how like a reference a clip looks to people, 0 to 100 (Netflix's libvmaf, in FFmpeg)."""

import json
import os
from pathlib import Path

from bench.plain import ffmpeg

RATE = "24"


def vmaf(clip: Path, reference: Path, width: int, height: int) -> float:
    """The mean over all frames of a clip of RATE frames a second; `reference` is a raw file of yuv420p of that size."""
    log = reference.with_suffix(".json")
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-r", RATE)
    measure = f"[0:v][1:v]libvmaf=log_fmt=json:log_path={log}:n_threads={os.cpu_count()}"
    ffmpeg("-i", clip, *raw, "-i", reference, "-lavfi", measure, "-f", "null", "-")
    found = json.loads(log.read_text())
    return float(found["pooled_metrics"]["vmaf"]["mean"])
