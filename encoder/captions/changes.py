"""When what captions show changes: read from a finished script, whatever it was made of. Pure."""

import math
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

CLOCK = re.compile(r"\s*(\d+):(\d+):(\d+)(?:\.(\d{1,3}))?\s*")
# Where start and end stand in an event of a script that does not say so.
USUAL_FIELDS = ("layer", "start", "end")
# Commands by which a caption changes while it stands: fades, moves, transforms, syllables; and its field of effects.
LIVELY = re.compile(r"\\(?:t|move|fad|fade|[kK][fot]?\d)|Banner;|Scroll (?:up|down);")
# A change that is so near to a picture comes with it: times are those of files, which round.
SAME_SECONDS = 2e-3
# How often such a caption is drawn anew.
STEP_MS = 40


@dataclass(frozen=True)
class CaptionChanges:
    """The times at which captions begin and end, in milliseconds, sorted; and the spans in which they change all the
    time."""

    times: tuple[int, ...]
    lively: tuple[tuple[int, int], ...]


class ScriptEvent(NamedTuple):
    """A caption of a script: its layer, when it is shown, in milliseconds, and its line."""

    layer: str
    start_ms: int
    end_ms: int
    line: str


def read_changes(script: str) -> CaptionChanges:
    """Return when the captions of a script in ASS or SSA change."""
    times: set[int] = set()
    lively: list[tuple[int, int]] = []
    for _, start, end, line in events(script):
        times |= {start, end}
        if LIVELY.search(line):
            lively.append((start, end))
    return CaptionChanges(tuple(sorted(times)), tuple(merged(lively)))


def shown_spans(script: str) -> list[tuple[float, float]]:
    """Return the spans in which a script in ASS or SSA has captions, in seconds, sorted; those that touch as one."""
    found = ((event.start_ms, event.end_ms) for event in events(script))
    return [(start / 1000, end / 1000) for start, end in merged(found)]


def are_shown(script: str, start: float, end: float) -> bool:
    """Return True if a script in ASS or SSA has a caption that is shown between two times, in seconds."""
    return any(event.start_ms < end * 1000 and event.end_ms > start * 1000 for event in events(script))


def changes_within(changes: CaptionChanges, start: float, end: float) -> Iterator[int]:
    """Yield the changes after one time and before another, both in seconds, in milliseconds and in their order."""
    after, before = math.floor(start * 1000) + 1, math.ceil(end * 1000)
    found = set(changes.times[bisect_left(changes.times, after) : bisect_left(changes.times, before)])
    for begin, until in changes.lively[max(bisect_left(changes.lively, (after, 0)) - 1, 0) :]:
        if begin >= before:
            break
        steps = max(-(-(after - begin) // STEP_MS), 1)
        found.update(range(begin + steps * STEP_MS, min(until, before), STEP_MS))
    yield from sorted(found)


def events(script: str) -> Iterator[ScriptEvent]:
    """Yield the captions of a script that are shown at all, in its order."""
    fields: Sequence[str] = USUAL_FIELDS
    for line in script.splitlines():
        kind, _, rest = line.partition(":")
        if kind.strip().lower() == "format" and "start" in rest.lower():
            fields = [part.strip().lower() for part in rest.split(",")]
        elif kind.strip().lower() == "dialogue":
            values = dict(zip(fields, rest.split(",", len(fields)), strict=False))
            start, end = (_milliseconds(values.get(name, "")) for name in ("start", "end"))
            if start is not None and end is not None and end > start:
                yield ScriptEvent(values.get("layer", "").strip(), start, end, line)


def _milliseconds(clock: str) -> int | None:
    match = CLOCK.fullmatch(clock)
    if not match:
        return None
    hours, minutes, seconds = (int(part[:6]) for part in match.groups()[:3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + int((match[4] or "0").ljust(3, "0"))


def merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans in their order, those that touch as one."""
    last: tuple[int, int] | None = None
    for start, end in sorted(spans):
        if last is not None and start <= last[1]:
            last = last[0], max(last[1], end)
            continue
        if last is not None:
            yield last
        last = start, end
    if last is not None:
        yield last


def repeated_times(changes: CaptionChanges, shown: Sequence[float], end: float, long_seconds: float) -> Iterator[int]:
    """Yield when pictures are to be shown once more, in milliseconds, so that captions come and go in time where one
    stands for longer than `long_seconds`; `shown` are the times at which pictures begin, sorted, the last of which
    stands until `end`."""
    for start, until in pairwise((*shown, end)):
        if until - start > long_seconds:
            yield from changes_within(changes, start + SAME_SECONDS, until - SAME_SECONDS)
