"""The timeline of a film of scenes: by seconds as they were asked for, and by frames. Pure.

Scene i is seen from its first frame `begin` to `end`, the frame after its last. Transition i, between scene i and the
next one, is where both are seen: from `begin` of the next to `end` of the scene. In the middle of it one scene stops
and the next one starts, as callers are told. What is rounded to frames is the time of each joint, by the clock of the
film, so that no error adds up.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

# The most of a scene that a transition takes: two of them never meet.
MOST_OF_SCENE = Fraction(1, 2)


@dataclass(frozen=True)
class SceneLength:
    """Seconds of a scene. Where `is_between` they go from the middle of the transition before it to the middle of the
    one after it, so that whatever is said meanwhile is as long; else from its first frame to its last."""

    seconds: Fraction
    is_between: bool = False


@dataclass(frozen=True)
class ScenePlace:
    """Where a scene stands in the film, in frames: see above. `start` and `stop` are the middles of the transitions."""

    begin: int
    end: int
    start: int
    stop: int


@dataclass(frozen=True)
class SceneFault:
    """Why a scene cannot be as it was asked for: its index, the name of the field, what is wrong and what to do."""

    scene: int
    field: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """The places of the scenes of a film at `rate` frames a second."""

    rate: Fraction
    places: tuple[ScenePlace, ...]

    @property
    def frames(self) -> int:
        """Frames of the film."""
        return self.places[-1].end

    @property
    def seconds(self) -> Fraction:
        """Length of the film."""
        return self.frames / self.rate

    def transition_frames(self, scene: int) -> int:
        """Return for how many frames a scene and the next one are both seen; 0 for a cut, and for the last one."""
        return self.places[scene].end - self.places[scene + 1].begin if scene + 1 < len(self.places) else 0

    def piece(self, scene: int) -> tuple[int, int]:
        """Return the first frame and the number of frames of a scene's piece of the film, which ends with the
        transition after it: so no piece shows more than its scene and the next one."""
        first = self.places[scene - 1].end if scene else 0
        return first, self.places[scene].end - first

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield the first frame and the number of frames of each piece."""
        return map(self.piece, range(len(self.places)))


def lay_out(lengths: Sequence[SceneLength], transitions: Sequence[Fraction], rate: Fraction) -> Timeline:
    """Return the timeline of scenes; `transitions` are the seconds of those between them, 0 for a cut."""
    around = [*_pairs_around(transitions, len(lengths))]
    begins, ends = [], []
    begin = Fraction(0)
    for length, (_, after) in zip(_whole_lengths(lengths, around), around, strict=True):
        begins.append(round(begin * rate))
        ends.append(round((begin + length) * rate))
        begin += length - after
    middles = [first + (end - first) // 2 for first, end in zip(begins[1:], ends, strict=False)]
    return Timeline(rate, tuple(map(ScenePlace, begins, ends, (0, *middles), (*middles, ends[-1]))))


def find_faults(
    lengths: Sequence[SceneLength], transitions: Sequence[Fraction], rate: Fraction
) -> Iterator[SceneFault]:
    """Yield what keeps scenes from being laid out: transitions that take more than half of a scene, and scenes and
    transitions of which no frame is seen."""
    around = [*_pairs_around(transitions, len(lengths))]
    whole = list(_whole_lengths(lengths, around))
    has_fault = False
    for number, (length, (before, after)) in enumerate(zip(whole, around, strict=True)):
        most = length * MOST_OF_SCENE
        for scene, taken in ((number - 1, before), (number, after)):
            if taken > most:
                has_fault = True
                text = (
                    f"it takes {float(taken):g} s, more than half of scenes[{number}], which lasts "
                    f"{float(length):g} s; make it shorter, or the scene longer."
                )
                yield SceneFault(scene, "transition", text)
    if has_fault:
        return
    laid = lay_out(lengths, transitions, rate)
    for number, ((_, frames), place) in enumerate(zip(laid.pieces(), laid.places, strict=True)):
        if frames < 1 or place.stop <= place.start:
            seconds, per_second = float(whole[number]), float(rate)
            text = f"of its {seconds:g} s no frame is seen at {per_second:g} frames a second; make it longer."
            yield SceneFault(number, "", text)
        if around[number][1] and not laid.transition_frames(number):
            seconds, per_second = float(around[number][1]), float(rate)
            text = f"it takes {seconds:g} s, less than a frame at {per_second:g} frames a second; make it longer."
            yield SceneFault(number, "transition", text)


def _pairs_around(transitions: Sequence[Fraction], scenes: int) -> Iterator[tuple[Fraction, Fraction]]:
    """Yield the seconds of the transitions before and after each scene."""
    between = (Fraction(0), *transitions[: scenes - 1], Fraction(0))
    return pairwise(between)


def _whole_lengths(lengths: Sequence[SceneLength], around: Sequence[tuple[Fraction, Fraction]]) -> Iterator[Fraction]:
    """Yield the seconds from the first frame of each scene to its last."""
    for length, (before, after) in zip(lengths, around, strict=True):
        yield length.seconds + (before + after) / 2 if length.is_between else length.seconds
