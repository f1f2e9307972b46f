"""Captions that are hard to read, as warnings: how many letters a line and a second they have, how long they are shown,
and how short the time between two of them is. Pure.

Limits are those that subtitles are made by for television and streaming; wide letters (Chinese, Japanese, Korean) count
as two.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from typing import Protocol

from apigpu.v1 import caption_style_pb2, video_pb2
from encoder.captions.formats import MARK
from encoder.captions.word_grouping import letters_of

MAX_LINE_LETTERS, MAX_LINES, LEAST_FRAMES = 42, 2, 2
# 5/6 of a second, as whole milliseconds have it.
LEAST_MS = 833
LETTERS_PER_SECOND: Mapping[int, int] = {
    caption_style_pb2.READABILITY_STANDARD: 17,
    caption_style_pb2.READABILITY_CHILDREN: 13,
}
MAX_WARNINGS = 40


class ShownText(Protocol):
    """A caption: when it is shown, in milliseconds, and its text with marks, whose lines end in \\n."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...
    @property
    def text(self) -> str: ...


def warnings_of(
    captions: Sequence[ShownText], level: int, frame_rate: Fraction, *, are_cut: bool = False
) -> list[video_pb2.Warning]:
    """Return the warnings of captions, counted from 1 in their order, at a level of Readability, MAX_WARNINGS at most;
    none where it is off. Those that `are_cut` here follow each other at once where speech goes on: they are given no
    times by anybody who could mend them."""
    if level not in LETTERS_PER_SECOND:
        return []
    gaps = _gaps(captions, frame_rate)
    if are_cut:
        gaps = {number: frames for number, frames in gaps.items() if frames}
    found = (
        warning
        for number, caption in enumerate(captions, 1)
        for warning in _warnings(number, caption, LETTERS_PER_SECOND[level], gaps)
    )
    return list(islice(found, MAX_WARNINGS))


def _gaps(captions: Sequence[ShownText], frame_rate: Fraction) -> dict[int, float]:
    """Return the frames between a caption, by its number, and the next one, where they are too few; captions that
    overlap have none."""
    order = sorted(range(len(captions)), key=lambda place: captions[place].start_ms)
    found: dict[int, float] = {}
    latest = 0
    for place, following in pairwise(order):
        latest = max(latest, captions[place].end_ms)
        frames = float((captions[following].start_ms - latest) * frame_rate / 1000)
        # Times are rounded to milliseconds.
        if 0 <= frames < LEAST_FRAMES - float(frame_rate) / 1000:
            found[place + 1] = frames
    return found


def _warnings(
    number: int, caption: ShownText, most_per_second: int, gaps: Mapping[int, float]
) -> Iterator[video_pb2.Warning]:
    lines = [line.strip() for line in MARK.sub("", caption.text).split("\n")]
    widest, seconds = max(map(letters_of, lines)), (caption.end_ms - caption.start_ms) / 1000
    per_second = letters_of(" ".join(lines)) / max(seconds, 0.001)
    if widest > MAX_LINE_LETTERS:
        yield _warning("LINE_LONG", number, widest, MAX_LINE_LETTERS, "has a line of {} letters, over {}; break it")
    if len(lines) > MAX_LINES:
        yield _warning("LINES_MANY", number, len(lines), MAX_LINES, "has {} lines, over {}; make two captions of it")
    if per_second > most_per_second:
        text = "has {} letters a second, over {}; shorten it, or show it for longer"
        yield _warning("READ_FAST", number, round(per_second, 1), most_per_second, text)
    if caption.end_ms - caption.start_ms < LEAST_MS:
        text = "is shown for {} s, under {}; show it for longer, or join it with another"
        yield _warning("SHOWN_BRIEFLY", number, round(seconds, 3), round(LEAST_MS / 1000, 3), text)
    if number in gaps:
        text = "ends {} frames before the next one begins, under {}; let it end earlier"
        yield _warning("GAP_SHORT", number, round(gaps[number], 1), LEAST_FRAMES, text)


def _warning(reason: str, number: int, figure: float, limit: float, text: str) -> video_pb2.Warning:
    message = f"caption {number} {text.format(figure, limit)}."
    metadata = {"cue": str(number), "figure": str(figure), "limit": str(limit)}
    return video_pb2.Warning(reason=reason, message=message, metadata=metadata)
