"""What a codec must offer, the seam between operations and the way the video is compressed; and H.264 by libx264, which
any CPU can."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import ffmpeg

from encoder.codecs.card import Card
from encoder.ffmpeg.command import FfmpegRun, FilteredFrames, OutputSpec, TrackFit, VideoFrames, frame_length
from encoder.ffmpeg.filters import tag_hd
from encoder.ffmpeg.process import NO_ACCESS, PipedFrames
from encoder.sandbox.sandboxes import SandboxAccess
from servicekit.errors import Unavailable

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")

# Longer than any frame.
MAX_SECONDS = 1e6

# Frames of uneven times are not decoded before those that they are shown after: MP4 counts how long a track is by the
# times of decoding.
IN_ORDER = {"bf": "0"}
# A camera over one still makes no cut and no fade, and moves evenly: to look for them takes a twentieth of the time,
# and the file is as large without, to a hundredth of a percent.
STEADY = {"weightp": "0", "sc_threshold": "0", "b_strategy": "0"}
# So even a movement is well told by its neighbors: more frames between two others, whose vectors follow from those, and
# a shorter search. By the preset that it was measured with: a quarter of the processor time and a tenth of the bytes
# less, for 0.4 to 1.1 of VMAF. None of it is written into the parameters of a track.
STEADY_BY_PRESET: Mapping[str, Mapping[str, str]] = {
    "veryfast": {"bf": "5", "direct-pred": "temporal", "subq": "1"},
}


# Pictures that a preset keeps to predict from, and those that a pyramid of B-frames takes at the least.
REFERENCES: Mapping[str, int] = {
    **dict.fromkeys(("ultrafast", "superfast", "veryfast"), 1),
    "faster": 2,
    "fast": 2,
    "medium": 3,
    "slow": 5,
    "slower": 8,
    "veryslow": 16,
    "placebo": 16,
}
PYRAMID_REFERENCES = 4
LEVEL_1B = 9


class Query(Protocol):
    """Runs FFmpeg with some arguments in the sandbox that tasks have, where it sees `access`; returns its return code
    and output. Raises OSError, TimeoutError among them."""

    async def __call__(self, arguments: Sequence[str], access: SandboxAccess = NO_ACCESS) -> tuple[int, str]: ...


class CodecFault(Unavailable):
    """The codec failed, not the input. The executor falls back to the next codec."""


class SizeFault(CodecFault):
    """The codec makes no pictures of this size, on whichever machine; the text has its limits."""


class Codec(Protocol):
    """Compresses video."""

    @property
    def name(self) -> str:
        """Name in Summary.codec and GetCapabilities: "x264"."""

    @property
    def format(self) -> str:
        """Format of the bitstream: "h264"."""

    @property
    def device(self) -> str:
        """Name of the hardware that it runs on; "" for the processor."""

    @property
    def cards(self) -> Sequence[Card]:
        """The cards that it found, those too that are of no use."""

    @property
    def decode_fault(self) -> str:
        """Why its hardware does not decode the inputs too, although it is set to; "" while it does, or need not."""

    @property
    def fault(self) -> str:
        """Why its last use failed for all tasks alike; "" while it works, and before the first use."""

    @property
    def simpler(self) -> "Codec | None":
        """The same with less of its hardware, to be tried when it fails; None when there is no such."""

    async def find_fault(self, query: Query) -> str:
        """Return why it does not work on this machine; "" when it does. Where its hardware is set to decode too, and
        was not seen to do so yet, that is tried as well."""

    def size_error(self, width: int, height: int) -> str:
        """Return why it cannot make pictures of a size here; "" when it can, or that is not known yet."""

    def fit_error(self, fit: TrackFit) -> str:
        """Return why it cannot make video that keeps to a fit; "" when it can, as far as that is known before."""

    def for_frames(self, frames: int) -> "Codec":
        """Return the same as it suits a result of so many frames; 0 where that is not known."""

    def make_run(self, frames: VideoFrames, output: OutputSpec) -> FfmpegRun:
        """Return the run that makes the result. It raises CodecFault where another codec might do."""

    async def close(self) -> None:
        """Release what it holds. No run of its may be left."""


@dataclass(frozen=True)
class CodecChoice:
    """A codec that a task may use, and why it is this one: for people. One `for_sizes` is for pictures of a size that
    the others do not make, and for nothing else."""

    codec: Codec
    reason: str
    for_sizes: bool = False


@dataclass(frozen=True)
class X264:
    """libx264, profile High, at a constant rate factor (`crf`, 0 best to 51 worst)."""

    preset: str
    crf: int
    name: str = "x264"
    format: str = "h264"
    device: str = ""
    cards: tuple[Card, ...] = ()
    decode_fault: str = ""
    fault: str = ""
    simpler: None = None

    async def find_fault(self, query: Query) -> str:
        # Tries it on a tiny picture.
        options = [part for key, value in self.options(1).items() for part in (f"-{key}", value)]
        tiny = ["-f", "lavfi", "-i", "color=s=256x144:d=0.04:r=25", *options, "-f", "null", "-"]
        try:
            code, text = await query(["-nostdin", "-v", "error", *tiny])
        except OSError as error:
            return f"FFmpeg cannot be run: {error.strerror}"
        return (text.strip().splitlines()[-1:] or [f"FFmpeg ended with {code}"])[0] if code else ""

    def size_error(self, width: int, height: int) -> str:
        return ""

    def fit_error(self, fit: TrackFit) -> str:
        return ""

    def for_frames(self, frames: int) -> "X264":
        return self

    def make_run(self, frames: VideoFrames, output: OutputSpec) -> FfmpegRun:
        options = self.options(output.threads)
        if isinstance(frames, FilteredFrames):
            last = frames.last
            lengths = {**IN_ORDER, "bsf:v": f"setts=pts=PTS:dts=DTS:{frame_length(MAX_SECONDS, last)}"} if last else {}
            steady = self._steady_options(frames)
            steady |= {"g": str(frames.key_frames)} if frames.key_frames else {}
            picture = frames.stream.filter("format", "yuv420p")
            fit = self._fit_options(frames.fit) if frames.fit is not None else {}
            return output.run(picture, {**options, **steady, **fit, **frames.timing, **lengths}, stdin=frames.stdin)
        size = f"{frames.size.width}x{frames.size.height}"
        raw = ffmpeg.input("pipe:0", f="rawvideo", pix_fmt="yuv420p", s=size, r=str(frames.frame_rate))
        counted = {**options, **self._steady, "frames:v": str(frames.count)}
        return output.run(tag_hd(raw), counted, stdin=PipedFrames(frames.frames))

    async def close(self) -> None:
        """Do nothing: no resource is held."""

    def options(self, threads: int) -> Mapping[str, str]:
        """Return output options of FFmpeg, without the leading dash, for an encode that may keep `threads` busy."""
        options = {"c:v": "libx264", "preset": self.preset, "crf": str(self.crf), "pix_fmt": "yuv420p"}
        options["threads"] = str(threads)
        # ultrafast turns off what sets High apart; forcing the profile would only be a label.
        return options if self.preset == "ultrafast" else options | {"profile:v": "high"}

    @property
    def _steady(self) -> Mapping[str, str]:
        return {**STEADY, **STEADY_BY_PRESET.get(self.preset, {})}

    def _steady_options(self, frames: FilteredFrames) -> dict[str, str]:
        """Return which of these hold for frames: whether prediction is weighted is the same for all of one track."""
        taken = {"weightp": not frames.weighted}
        return {name: value for name, value in self._steady.items() if taken.get(name, frames.steady)}

    def _fit_options(self, fit: TrackFit) -> dict[str, str]:
        """Return the options by which frames stand between those of another encoder. A run that is short has fewer
        pictures to learn from, and so would look a little worse than the same frames of a whole film: it is encoded one
        step finer."""
        level = "1b" if fit.level == LEVEL_1B else str(fit.level)
        options = {"x264-params": f"sps-id={fit.number}", "profile:v": fit.profile, "level": level}
        options["crf"] = str(max(self.crf - 1, min(self.crf, 1)))  # 0 would be another profile
        if not fit.references:  # every picture is a key picture
            return options | {"g": "1"}
        if fit.references < REFERENCES[self.preset]:
            options["refs"] = str(fit.references)
        if not fit.reordered or fit.references < 2:
            options["bf"] = "0"
        elif fit.reordered < 2 or fit.references < PYRAMID_REFERENCES:
            options["b-pyramid"] = "none"
        return options
