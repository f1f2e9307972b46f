"""How long the pieces of a film are that several encoders make side by side. Pure.

Long pieces cost least, and short ones at the end have all encoders end together, however fast each of them is: the
first ones are a good half of what each encoder would get, each is shorter than the one before by as much, and most
encoders get a very short one at last. Few are so long that a slow encoder would be late with one, and few so short
that what each takes beside its pictures counts. Where both encoders and pieces differ by a fifth, 64 encoders that
would take 24 s for an hour's film take 26 so.
"""

from math import ceil, sqrt

MIN_SECONDS, MAX_SECONDS = 10.0, 60.0
# The first pieces are one of so many times the encoders; those after them fall to the last.
PER_ENCODER = 1.6
LAST_SECONDS = 4.0
# Behind these are so many for each encoder, so short.
ENDS_PER_ENCODER, END_SECONDS = 0.75, 2.0
# Of a film of which each encoder makes less, pieces that are as many as the encoders are the sooner done: what each
# takes beside its pictures counts for more than how they end.
MIN_SHARE_SECONDS = 35.0
# Where there would be too many, all are so many times as long, again and again.
STRETCH = 1.2
# Of a film that is watched while it is made: its first picture is there soon, and each of the next pieces is half as
# long as all before it. So it is there when those were seen, where an encoder makes 1.5 seconds of film in one.
FIRST_SECONDS, SECOND_SECONDS = 2.0, 1.5
GROWTH = 0.5
# What is not longer than so many times a piece is not cut.
LEAST_LEFT = 1.5


def piece_seconds(seconds: float, workers: int, most: int, *, is_watched: bool) -> list[float]:
    """Return the lengths of the pieces of a film for so many encoders, `most` of them at the most."""
    first = watched_seconds(seconds / 2 if workers > 1 else seconds) if is_watched else []
    seconds, most = seconds - sum(first), max(most - len(first), 1)
    if workers < 2 or seconds < MIN_SHARE_SECONDS * workers:
        count = min(max(min(workers, int(seconds / MIN_SECONDS)), ceil(seconds / MAX_SECONDS), 1), most)
        return first + [seconds / count] * count
    stretch = max(seconds / MAX_SECONDS / most, 1.0)
    while len(found := _falling(seconds / stretch, workers)) > most:
        stretch *= STRETCH
    return first + [length * stretch for length in found]


def watched_seconds(seconds: float, before: float = 0.0) -> list[float]:
    """Return the lengths of the first pieces of so much of a film that is watched, before which some seconds play. What
    is left is not cut where that would gain little."""
    found: list[float] = []
    while True:
        played, left = before + sum(found), seconds - sum(found)
        length = max(GROWTH * played, SECOND_SECONDS) if played else FIRST_SECONDS
        if length > MAX_SECONDS or left < (LEAST_LEFT * length if played else length):
            return found
        found.append(length)


def limit_seconds(left_seconds: float, seconds: float, workers: int) -> float:
    """Return how long a piece may be where so much of a film is not made yet, of its `seconds` in all."""
    if workers < 2:
        return MAX_SECONDS
    share = PER_ENCODER * workers
    longest = max(min(seconds / share, MAX_SECONDS), LAST_SECONDS)
    falling_seconds = share * longest
    if left_seconds >= falling_seconds:
        return longest
    # What falls by a step from each to the next is as the root of what is left; the step is taken at once, as few
    # encoders would end far apart if their last ones were long.
    step = (longest**2 - LAST_SECONDS**2) / (2 * falling_seconds)
    return max(sqrt(LAST_SECONDS**2 + 2 * step * max(left_seconds, 0.0)) - step, LAST_SECONDS)


def _falling(seconds: float, workers: int) -> list[float]:
    ends = [END_SECONDS] * min(int(ENDS_PER_ENCODER * workers), int(seconds / MIN_SECONDS))
    left = seconds = seconds - sum(ends)
    found: list[float] = []
    while left > 0:
        length = limit_seconds(left, seconds, workers)
        found.append(left if left < LEAST_LEFT * length else length)
        left -= found[-1]
    return found + ends
