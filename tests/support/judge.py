"""Judges results by decoding them."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from tests.support import media

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Facts:
    """What a file is, by its headers and by decoding every frame. Sizes are those of the decoded frames, turned."""

    frames: int
    width: int
    height: int
    rate: Fraction
    seconds: float
    codec: str
    profile: str
    pixel_format: str
    times: tuple[float, ...]
    audio: tuple[str, ...]
    audio_seconds: float


def facts(path: Path) -> Facts:
    """Decode the whole file; fails when it does not decode."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times: list[float] = []
        width = height = 0
        for frame in container.decode(stream):
            times.append(frame.time or 0.0)
            width, height = frame.width, frame.height
            if round(frame.rotation) % 180:
                width, height = height, width
        return Facts(
            frames=len(times),
            width=width,
            height=height,
            rate=stream.average_rate or Fraction(0),
            seconds=float(container.duration or 0) / av.time_base,
            codec=stream.codec_context.codec.canonical_name,
            profile=stream.codec_context.profile or "",
            pixel_format=stream.codec_context.pix_fmt or "",
            times=tuple(times),
            audio=tuple(s.codec.canonical_name for s in container.streams.audio),
            audio_seconds=len(samples(path)) / RATE if container.streams.audio else 0.0,
        )


def pictures(path: Path, form: str = "rgb24") -> list[Picture]:
    """Every frame as an array (height, width, 3), or (height, width) in "gray"; not turned."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format=form).astype(np.uint8) for frame in container.decode(video=0)]


RATE = 48_000


def samples(path: Path, stream: int = 0) -> npt.NDArray[np.float32]:
    """The sound of one audio stream as mono samples at 48 kHz."""
    with av.open(str(path)) as container:
        resampler = AudioResampler(format="flt", layout="mono", rate=RATE)
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=stream) for part in resampler.resample(frame)]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def pitch(path: Path, stream: int = 0) -> float:
    """The loudest frequency of an audio stream, Hz."""
    sound = samples(path, stream)
    spectrum = np.abs(np.fft.rfft(sound))
    return float(np.fft.rfftfreq(len(sound), 1 / RATE)[int(spectrum[1:].argmax()) + 1])


def moov_first(path: Path) -> bool:
    """Whether an MP4 can be played while it is still being loaded."""
    data = path.read_bytes()
    return 0 < data.find(b"moov") < data.find(b"mdat")


def differing(one: Picture, other: Picture, threshold: int = 48) -> npt.NDArray[np.bool_]:
    """Where two pictures differ clearly: an array (height, width) of booleans."""
    gap = np.abs(one.astype(np.int16) - other.astype(np.int16))
    found: npt.NDArray[np.bool_] = (gap.max(axis=2) if gap.ndim == 3 else gap) > threshold
    return found


def vmaf(path: Path, reference: Path) -> float:
    """How like its reference a video looks, 0 to 100: the mean of Netflix's VMAF over the frames, in their order."""
    log = path.with_suffix(".vmaf.json")
    counted = "settb=1/1000,setpts=N*40,format=yuv420p"
    graph = f"[0:v]{counted}[a];[1:v]{counted}[b];[a][b]libvmaf=log_fmt=json:log_path={log}"
    media.run("-i", path, "-i", reference, "-lavfi", graph, "-fps_mode", "passthrough", "-f", "null", "-")
    return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])
