"""The pieces that the scenes of a film are made in: one each; several where that has the film done or seen sooner; or
one for several stills that lead into each other, as each of these is then sent and prepared once. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from math import ceil

from encoder.story.piece_lengths import MIN_SHARE_SECONDS, limit_seconds, watched_seconds
from encoder.story.timeline import Timeline

# That one piece shows, each of which is kept on disk until it is made.
MAX_STILLS = 8
# A plan of so many is carried out, whatever is said of each; more are of use to nobody.
MAX_PIECES = 1000
# Of a still, as what each piece of it takes beside its pictures is little.
MIN_SECONDS = 5.0


@dataclass(frozen=True)
class ScenePiece:
    """A part of a scene, or all of it: its first frame in the film, and how many it has; its number among those of the
    scene, and whether it is the last, which ends with the transition. With `following` it goes on with other scenes."""

    scene: int
    first: int
    frames: int
    number: int
    is_last: bool
    following: tuple["ScenePiece", ...] = ()

    @property
    def shots(self) -> tuple["ScenePiece", ...]:
        """What of each scene is in it."""
        return (replace(self, following=()), *self.following)

    @property
    def frames_total(self) -> int:
        """Frames of all its scenes."""
        return sum(shot.frames for shot in self.shots)


def cut(timeline: Timeline, stills: Sequence[bool], workers: int, *, is_watched: bool) -> list[ScenePiece]:
    """Return the pieces of a film, in their order. Stills are cut for so many encoders, as any frame of them can be
    made without those before; a film that is watched begins with a short piece."""
    found: list[ScenePiece] = []
    for scene, is_still in enumerate(stills):
        wanted = _even(timeline, scene, workers) if is_still else []
        if is_watched and is_still:
            wanted = sorted([*wanted, *_seen(timeline, scene)])
        elif is_watched and scene == 0:
            wanted = _seen(timeline, scene)[:1]
        found += _pieces(timeline, scene, _edges(timeline, scene, wanted))
    return found


def cut_at_most(
    timeline: Timeline, stills: Sequence[bool], workers: int, *, is_watched: bool, most: int = MAX_PIECES
) -> list[ScenePiece]:
    """Return the pieces of a film, in their order: cut for fewer encoders where they would be more than `most`."""
    while len(found := cut(timeline, stills, workers, is_watched=is_watched)) > most and workers > 1:
        workers //= 2
    return found


def group(timeline: Timeline, pieces: Sequence[ScenePiece], stills: Sequence[bool], workers: int) -> list[ScenePiece]:
    """Return the pieces with stills that lead into each other in one, as many as make a fair share for each of so many
    who work side by side."""
    found: list[ScenePiece] = []
    for piece in pieces:
        last = found[-1].shots[-1] if found else None
        if (
            last is not None
            and last.is_last
            and stills[last.scene]
            and stills[piece.scene]
            and timeline.transition_frames(last.scene)
            and len(found[-1].shots) + 1 < MAX_STILLS
            and piece.first + piece.frames / 2 <= _share_end(timeline, found, workers)
        ):
            found[-1] = replace(found[-1], following=(*found[-1].following, piece))
        else:
            found.append(piece)
    return found


def _share_end(timeline: Timeline, found: Sequence[ScenePiece], workers: int) -> float:
    """Return the frame of the film at which the last of some pieces is best to end."""
    seconds, first = float(timeline.seconds), found[-1].first
    if seconds < MIN_SHARE_SECONDS * workers:
        return timeline.frames * len(found) / workers
    left = float((timeline.frames - first) / timeline.rate)
    return first + float(limit_seconds(left, seconds, workers) * timeline.rate)


def _seen(timeline: Timeline, scene: int) -> list[Fraction]:
    """Return the frames of a scene at which pieces end that are there when those before were seen."""
    first, frames = timeline.piece(scene)
    lengths = watched_seconds(float(frames / timeline.rate), float(first / timeline.rate))
    return [Fraction(seconds) * timeline.rate for seconds in accumulate(lengths)]


def _even(timeline: Timeline, scene: int, workers: int) -> list[Fraction]:
    """Return the frames of a scene at which even pieces of it end, none too long for what is left of the film."""
    first, frames = timeline.piece(scene)
    if workers < 2:
        return []
    left, seconds = (float(count / timeline.rate) for count in (timeline.frames - first, frames))
    parts = min(ceil(seconds / limit_seconds(left, float(timeline.seconds), workers)), int(seconds / MIN_SECONDS))
    return [Fraction(number * frames, parts) for number in range(1, parts)]


def _edges(timeline: Timeline, scene: int, wanted: Sequence[Fraction]) -> Iterator[int]:
    """Yield the frames of a scene's piece at which it can be cut: not in the transition, and not near to another."""
    _, frames = timeline.piece(scene)
    last, least = 0, timeline.rate
    for frame in map(round, wanted):
        if frame - last >= least and frame + least <= frames - timeline.transition_frames(scene):
            last = frame
            yield frame


def _pieces(timeline: Timeline, scene: int, edges: Iterator[int]) -> Iterator[ScenePiece]:
    first, frames = timeline.piece(scene)
    places = (0, *edges, frames)
    for number, (begin, end) in enumerate(pairwise(places)):
        yield ScenePiece(scene, first + begin, end - begin, number, is_last=end == frames)
