"""Pictures that are shown once more, so that captions come and go in time over pictures that stand for long."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import ffmpeg

from encoder.captions import changes
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import LastFrame
from encoder.media import moments, packets, timeline
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.operations.deviations import Note

# As many as an hour has at 25 a second.
MAX_REPEATS = 90_000


@dataclass(frozen=True)
class Repeats:
    """How many pictures are shown once more, the last picture where there are any, and whether more are needed."""

    count: int = 0
    last: LastFrame | None = None
    are_too_many: bool = False


def write_repeats(script: str, source: Source, info: MediaInfo, video: VideoStream, path: Path) -> Repeats:
    """Write the moments at which pictures are to be shown once more, where captions change while one stands; nothing
    where there are none."""
    shown, until = packets.shown_times(source, info, video, info.audio)
    times = changes.repeated_times(changes.read_changes(script), shown, until, timeline.LONG_SECONDS)
    found = list(islice(times, MAX_REPEATS + 1))
    if not found:
        return Repeats()
    moments.write_moments(path, found[:MAX_REPEATS], until)
    begins = max(shown[-1], found[:MAX_REPEATS][-1] / 1000)
    return Repeats(min(len(found), MAX_REPEATS), LastFrame(begins, until), len(found) > MAX_REPEATS)


def repeat_pictures(picture: Any, repeats: Repeats, name: str) -> Any:
    """Return a picture with its repeats, whose moments are in a file of this name."""
    if repeats.last is None:
        return picture
    given = ffmpeg.input(name, f=moments.DEMUXER, protocol_whitelist="file,pipe")["0"]
    # The next millisecond is not before the change by any rounding.
    times = given.filter("setpts", f"PTS-{moments.LEAD_MS - 1}/1000/TB")
    return filters.repeat_pictures(picture, times, repeats.last.until)


def late_notes(repeats: Repeats, field: str) -> Iterator[Note]:
    """Yield that the captions of a field change more often than pictures are repeated."""
    if repeats.are_too_many:
        text = (
            f"its captions change more than {MAX_REPEATS} times while one picture stands; those behind change with the "
            "next picture. Give a video of a usual frame rate, if that is too late."
        )
        yield Note(reason="CAPTIONS_LATE", place=field, text=text)
