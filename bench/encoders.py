"""One story on one encoder that has one core, and on two of them that have one each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from api_gpu import Transition
from bench import pinned, plain
from bench.pair import Measured
from bench.timing import Row, timed

STILLS, SECONDS = 10, 5


def rows(_: Measured, folder: Path) -> Iterator[Row]:
    """A story whose stills the gateway has, from its submit to its end; beside it what two cores of this machine do:
    an encode on each at once, against one after the other."""
    if not pinned.has_cores():
        yield "two encoders of a core each", "not measured: this machine has one core", ""
        return
    stills = [folder / f"still{number}.png" for number in range(STILLS)]
    for number, still in enumerate(stills):
        plain.make_image(still, number)
    one, two = (_seconds(pinned.CORES[:count], stills, folder / f"with{count}") for count in (1, 2))
    yield "story on two encoders of a core each, against one", f"{one / two:.2f}× ({two:.1f} s)", "≥ 1.85×"
    gain = pinned.ffmpeg_gain(lambda core: _encode(stills[0], core, folder))
    yield "FFmpeg on two cores at once, against one after the other", f"{gain:.2f}×", ""


def _seconds(cores: Sequence[int], stills: Sequence[Path], folder: Path) -> float:
    """Seconds of the story with an encoder on each of these cores."""
    with pinned.serving(cores, folder) as client:
        scenes = [{"image_url": client.upload(still).name, "duracao": SECONDS} for still in stills]
        transition = Transition(kind="crossfade", seconds=0.5)
        return timed(lambda: client.story(scenes, transition=transition).wait())


def _encode(still: Path, core: int, folder: Path) -> Sequence[str | Path]:
    command = [plain.FFMPEG, "-nostdin", "-v", "error", "-y", "-loop", "1", "-i", still]
    options = ["-frames:v", "240", "-s", "1920x1080", "-threads", "1"]
    return [*command, *options, *plain.ENCODE, folder / f"core{core}.mp4"]
