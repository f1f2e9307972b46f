"""Warnings about what stands in a file of subtitles and is not in the picture."""

import heapq
from collections.abc import Sequence, Set
from typing import Protocol

from apigpu.v1 import video_pb2
from encoder.captions.formats.cue import LeftOut, SubtitleError, name_some
from encoder.captions.stacking import MAX_STACKED

# Of marks so many are named.
MAX_MARKS = 20
# Times are rounded; nobody misses less of a caption.
TOLERANCE_MS = 100


class Named(Protocol):
    """What has a name in its file."""

    @property
    def name(self) -> str: ...


class Timed(Named, Protocol):
    """A caption: its name, and when it is shown, in milliseconds."""

    @property
    def start_ms(self) -> int: ...
    @property
    def end_ms(self) -> int: ...


def mark_warnings(ignored: Set[str]) -> list[video_pb2.Warning]:
    """Return the warning of marks that are hidden, but not obeyed; none without any."""
    if not ignored:
        return []
    marks = " ".join(sorted(ignored)[:MAX_MARKS])
    message = (
        f"the subtitles have marks that are not obeyed here: {marks}; their text is drawn without. "
        "Use style for fonts and sizes, or give ASS."
    )
    return [video_pb2.Warning(reason="MARKS_IGNORED", message=message, metadata={"marks": marks})]


def left_out_warnings(left_out: Sequence[LeftOut]) -> list[video_pb2.Warning]:
    """Return the warning of captions that cannot be drawn, which names the first of them; none without any."""
    if not left_out:
        return []
    count = "a caption is" if len(left_out) == 1 else f"{len(left_out):,} captions are"
    message = f"{count} left out: {name_some([*map(str, left_out)])}; mend the file to have them drawn."
    return [_warning("CUES_LEFT_OUT", message, left_out)]


def late_warnings(captions: Sequence[Timed], end_seconds: float) -> list[video_pb2.Warning]:
    """Return the warnings of captions that begin, or go on, after the end of the video's pictures. Raises SubtitleError
    where all begin after it."""
    end_ms = round(end_seconds * 1000)
    late = [caption for caption in captions if caption.start_ms >= end_ms]
    cut = [caption for caption in captions if caption.start_ms < end_ms < caption.end_ms - TOLERANCE_MS]
    end = f"the video's end at {end_seconds:.2f} s"
    if late and len(late) == len(captions):
        raise SubtitleError(f"all captions begin after {end}: {_names(late)}; give those of this video.")
    warnings = []
    if late:
        what = "a caption begins" if len(late) == 1 else f"{len(late):,} captions begin"
        message = f"{what} after {end}, where nothing is shown: {_names(late)}; check that they are of this video."
        warnings.append(_warning("CUES_AFTER_END", message, late))
    if cut:
        what = "a caption goes" if len(cut) == 1 else f"{len(cut):,} captions go"
        message = f"{what} on after {end}: {_names(cut)}; check that they are of this video."
        warnings.append(_warning("CUES_CUT_SHORT", message, cut))
    return warnings


def crowd_warnings(captions: Sequence[Timed]) -> list[video_pb2.Warning]:
    """Return the warning of captions that give way to newer ones, as more than MAX_STACKED are to be shown at once."""
    given_way: dict[int, Timed] = {}
    shown: list[tuple[int, int]] = []
    by_start = sorted(captions, key=lambda caption: caption.start_ms)
    for number, caption in enumerate(by_start):
        heapq.heappush(shown, (caption.end_ms, number))
        while shown[0][0] <= caption.start_ms:
            heapq.heappop(shown)
        oldest = number - MAX_STACKED
        if len(shown) > MAX_STACKED and oldest not in given_way:
            given_way[oldest] = by_start[oldest]
    if not given_way:
        return []
    crowded = list(given_way.values())
    message = (
        f"more than {MAX_STACKED} captions are to be shown at once, so that older ones give way: {_names(crowded)}; "
        "check their times."
    )
    return [_warning("CUES_CROWDED", message, crowded)]


def _warning(reason: str, message: str, found: Sequence[Named]) -> video_pb2.Warning:
    return video_pb2.Warning(reason=reason, message=message, metadata={"count": str(len(found)), "cues": _names(found)})


def _names(found: Sequence[Named]) -> str:
    return name_some([one.name for one in found])
