"""How long the pieces of a film are that several encoders make side by side. Pure.

Long pieces cost least, and short ones at the end have all encoders end together, however fast each of them is: a piece
is two thirds of what each encoder would get of all that is left. Where encoders and pieces differ by a fifth, that
keeps 64 of them at their work for 85 % of an hour's film, and a half of it for 83 %.
"""

from collections.abc import Iterator

MIN_SECONDS, MAX_SECONDS = 10.0, 60.0
# At the end.
LAST_SECONDS = 6.0
# Of a film of which each encoder makes less, pieces that are as many as the encoders are the sooner done: what each
# takes beside its pictures counts for more than how they end.
MIN_SHARE_SECONDS = 50.0
PER_ENCODER = 1.5
# Of a film that is watched while it is made: its first picture is there soon, and each of the next pieces is half as
# long as all before it. So it is there when those were seen, where an encoder makes 1.5 seconds of film in one.
FIRST_SECONDS, SECOND_SECONDS = 2.0, 1.5
GROWTH = 0.5
# What is not longer than so many times a piece is not cut.
LEAST_LEFT = 1.5


def piece_seconds(seconds: float, workers: int, most: int, *, is_watched: bool) -> list[float]:
    """Return the lengths of the pieces of a film for so many encoders, `most` of them at the most."""
    first = watched_seconds(seconds / 2 if workers > 1 else seconds) if is_watched else []
    seconds -= sum(first)
    if seconds < MIN_SHARE_SECONDS * workers:
        count = max(min(workers, int(seconds / MIN_SECONDS)), 1)
        return first + [seconds / count] * count
    return first + list(_shrinking(seconds, workers, seconds / (most - len(first) - 1)))


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


def limit_seconds(left_seconds: float, workers: int) -> float:
    """Return how long a piece may be where so much of the film is not made yet."""
    return min(max(left_seconds / (PER_ENCODER * workers), LAST_SECONDS), MAX_SECONDS)


def _shrinking(seconds: float, workers: int, shortest: float) -> Iterator[float]:
    shortest = max(shortest, LAST_SECONDS)
    while seconds >= 2 * shortest:
        length = max(limit_seconds(seconds, workers), shortest)
        yield length
        seconds -= length
    # What is left is no piece of its own where it would be much shorter than others.
    count = 2 if seconds > 1.5 * shortest else 1
    yield from [seconds / count] * count
