"""How a soundtrack is put on a video."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Soundtrack:
    """`mix` keeps the video's own sound, and the result is then as long as the video; `duck` makes the soundtrack give
    way to speech in it.

    Gains are dB, -60 to 20: `original_gain` is that of the video's own sound (with `mix`), `gain` that of the
    soundtrack. `fade_in` and `fade_out` are seconds of the result; `start` seconds of the audio file to leave out;
    `delay` seconds of the video before the soundtrack begins; `loop` begins it anew until the video ends. `loudness` is
    that of the result, -40 to -5 LUFS (EBU R 128), as it is when None.
    """

    mix: bool = False
    original_gain: float | None = None
    gain: float | None = None
    duck: bool = False
    fade_in: float | None = None
    fade_out: float | None = None
    loop: bool = False
    start: float | None = None
    delay: float | None = None
    loudness: float | None = None
