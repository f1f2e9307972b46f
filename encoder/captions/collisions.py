"""When a drawing of captions that begins in mid-film must look back. Pure.

libass moves a caption out of the way of those that are shown with it, and leaves it there when they are gone. So where
one stands may follow from captions of before: who draws from a later time on has to draw, and throw away, what led
there.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

from encoder.captions.changes import ScriptEvent, events, merged

# Captions that say where they stand are in nobody's way.
PLACED = re.compile(r"\\(?:pos|move)\(|Banner;|Scroll (?:up|down);")
# The last of more: captions that overlap all through a long film.
MAX_FRAMES = 400


def frames_before(script: str, first_frame: int, rate: Fraction) -> list[int]:
    """Return the frames before the first one, in their order, that are to be drawn so that captions stand from then on
    where they would if all frames were; none where it makes no difference."""
    start_ms = int(first_frame * 1000 / rate)
    layers: dict[str, list[ScriptEvent]] = {}
    for event in events(script):
        if event.start_ms < start_ms and not PLACED.search(event.line):
            layers.setdefault(event.layer, []).append(event)
    changes = {at for layer in layers.values() for at in _changes(layer, start_ms)}
    frames = sorted({ceil(at * rate / 1000) for at in changes})
    return [frame for frame in frames if frame < first_frame][-MAX_FRAMES:]


def collision_spans(script: str) -> list[tuple[int, int]]:
    """Return when captions stand together with others, or with what such captions have moved: in milliseconds, in their
    order. Within one of them `frames_before` has something, outside it has nothing."""
    layers: dict[str, list[ScriptEvent]] = {}
    for event in events(script):
        if not PLACED.search(event.line):
            layers.setdefault(event.layer, []).append(event)
    return list(merged(span for layer in layers.values() for span in _spans(layer)))


def is_within(spans: Sequence[tuple[int, int]], at_ms: int) -> bool:
    """Return True for a time that is after the start of a span and before its end."""
    place = bisect_left(spans, (at_ms, 0)) - 1
    return place >= 0 and at_ms < spans[place][1]


def _spans(layer: Sequence[ScriptEvent]) -> Iterator[tuple[int, int]]:
    """Yield from the second caption to the end of each time in which there is always one."""
    second_ms, end_ms = -1, 0
    for event in sorted(layer, key=lambda event: event.start_ms):
        if event.start_ms < end_ms:
            second_ms = event.start_ms if second_ms < 0 else second_ms
        else:
            if second_ms >= 0:
                yield second_ms, end_ms
            second_ms, end_ms = -1, 0
        end_ms = max(end_ms, event.end_ms)
    if second_ms >= 0:
        yield second_ms, end_ms


def _changes(layer: Sequence[ScriptEvent], start_ms: int) -> Iterator[int]:
    """Yield when captions come and go in the time before `start_ms` in which there was always one; nothing where none
    of them was ever shown with another."""
    run: list[ScriptEvent] = []
    end_ms = 0
    for event in sorted(layer, key=lambda event: event.start_ms):
        if event.start_ms >= end_ms:
            run, end_ms = [], 0
        run.append(event)
        end_ms = max(end_ms, event.end_ms)
    if end_ms > start_ms and len(run) > 1:
        for event in run:
            yield event.start_ms
            yield event.end_ms
