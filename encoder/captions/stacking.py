"""Captions that are shown at the same time and place, as one: the older above, the same text once.

libass puts one that comes later above those that are there, so that captions that roll up, as YouTube's do, would stand
in the wrong order.
"""

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

# More lines than a picture has room for.
MAX_STACKED = 8
# Captions that follow one another overlap by so much where times were rounded: two lines would flash up.
BRIEF_MS = 100
LINE_END = "\\N"
# Ends what the commands of a text began.
RESET = "{\\r}"


class Event(NamedTuple):
    """A text of ASS and the milliseconds that it is shown; those of a lower `rank` stand above. Width and height are in
    pixels, 0 where nobody needs them."""

    start_ms: int
    end_ms: int
    rank: int
    text: str
    width: float = 0.0
    height: float = 0.0


def stack(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events of one place in the order of time, of which no two are shown at once. Of more than MAX_STACKED
    the newest are shown."""
    ordered = sorted(event for event in events if event.end_ms > event.start_ms)
    starts = [event.start_ms for event in ordered]
    ordered = [_without_brief_overlap(event, starts) for event in ordered]
    live: list[tuple[int, int, Event]] = []
    joined: Event | None = None
    begun = 0
    for start, end in pairwise(sorted({*starts, *(event.end_ms for event in ordered)})):
        while begun < len(ordered) and ordered[begun].start_ms <= start:
            heapq.heappush(live, (-ordered[begun].rank, begun, ordered[begun]))
            begun += 1
        shown = _newest(live, start)
        text = shown[0].text if len(shown) == 1 else _join(shown)
        if joined is not None and (joined.text, joined.end_ms) == (text, start):
            joined = joined._replace(end_ms=end)
            continue
        if joined is not None and joined.text:
            yield joined
        joined = Event(start, end, 0, text, *_extent(shown))
    if joined is not None and joined.text:
        yield joined


def _without_brief_overlap(event: Event, starts: Sequence[int]) -> Event:
    """Return an event that ends where the next one begins, if that is just before its own end."""
    following = bisect_left(starts, max(event.end_ms - BRIEF_MS, event.start_ms + 1))
    end = starts[following] if following < len(starts) else event.end_ms
    return event._replace(end_ms=min(end, event.end_ms))


def _newest(live: list[tuple[int, int, Event]], now_ms: int) -> list[Event]:
    """Return the newest of the events that have begun and are not over, the oldest first; those over are dropped."""
    newest: list[tuple[int, int, Event]] = []
    while live and len(newest) < MAX_STACKED:
        entry = heapq.heappop(live)
        if entry[2].end_ms > now_ms:
            newest.append(entry)
    for entry in newest:
        heapq.heappush(live, entry)
    return [event for _, _, event in reversed(newest)]


def _extent(events: Sequence[Event]) -> tuple[float, float]:
    """Return the width and height of events above each other."""
    if len(events) == 1:
        return events[0].width, events[0].height
    shown = {event.text: event for event in events}.values()
    return max((event.width for event in shown), default=0.0), sum(event.height for event in shown)


def _join(events: Sequence[Event]) -> str:
    texts = list(dict.fromkeys(event.text for event in events))
    ends = [LINE_END + RESET if "{" in text else LINE_END for text in texts[:-1]]
    return "".join(map("".join, zip(texts, [*ends, ""], strict=False)))
