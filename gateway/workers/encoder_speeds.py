"""How fast each encoder is beside the others, by the pieces of films that it was seen to make. Pure, and in memory:
what follows from it is told to others, and to this gateway's next start, who begin with that.

Only pieces of one film are compared: those of another may be four times as large.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median

# The last films count, and of each those encoders that are still there.
MAX_FILMS = 32
# What an encoder made of a film before counts less with each piece after it.
FADING = 0.8
# As an encoder that hangs would be infinitely slow.
MAX_SLOWNESS = 50.0


@dataclass(frozen=True, slots=True)
class FilmWork:
    """What an encoder made of a film: seconds, frames, and how slow it was known to be before (1: as most are)."""

    prior: float
    seconds: float = 0.0
    frames: float = 0.0

    def after(self, seconds: float, frames: float) -> "FilmWork":
        """Return the work with one more piece."""
        return replace(self, seconds=FADING * self.seconds + seconds, frames=FADING * self.frames + frames)


@dataclass(eq=False)
class EncoderSpeeds:
    """The speeds of encoders, by their names. `told` returns how slow one was known to be before anything was seen of
    it here; None where it was not."""

    told: Callable[[str], float | None] = lambda _: None
    _films: OrderedDict[str, dict[str, FilmWork]] = field(default_factory=OrderedDict, init=False)
    # What follows from that, as far as it was asked for.
    _paces: dict[str, float | None] = field(default_factory=dict, init=False)
    _slowness: dict[str, float] | None = field(default=None, init=False)
    _slowest: float = field(default=1.0, init=False)

    def note(self, encoder: str, film: str, frames: float, seconds: float) -> None:
        """Learn from frames of a film that an encoder made in that time."""
        if not film or frames < 0 or seconds <= 0:
            return
        known = self._films.setdefault(film, {})
        work = known.get(encoder) or FilmWork(self._before(encoder) or 1.0)
        known[encoder] = work.after(seconds, frames)
        self._films.move_to_end(film)
        if len(self._films) > MAX_FILMS:
            self._paces.pop(self._films.popitem(last=False)[0], None)
        self._paces.pop(film, None)
        self._slowness = None

    def forget(self, encoder: str) -> None:
        """Forget an encoder that is gone."""
        for film in self._films.values():
            film.pop(encoder, None)
        self._paces.clear()
        self._slowness = None

    def slowness(self, encoder: str) -> float:
        """Return by how much longer an encoder takes than most do. One that was never seen counts as the slowest that
        is known here, so that it gets no long piece before it was; without any it is 1."""
        return self._before(encoder) or max(1.0, self._slowest)

    def seen(self, encoder: str) -> float | None:
        """Return by how much longer an encoder takes than most do, by what it was seen to make; None before that."""
        return self._known().get(encoder)

    def pace(self, film: str) -> float | None:
        """Return the seconds that a frame of a film takes most encoders; None before any was seen."""
        if film not in self._films:
            return None
        if film not in self._paces:
            known = [work for work in self._films[film].values() if work.frames > 0]
            self._paces[film] = median(work.seconds / work.frames / work.prior for work in known) if known else None
        return self._paces[film]

    def _before(self, encoder: str) -> float | None:
        """Return how slow an encoder was seen, or told, to be."""
        return self._known().get(encoder) or self.told(encoder)

    def _known(self) -> dict[str, float]:
        """Return how slow the encoders are that were seen."""
        if self._slowness is None:
            sums: defaultdict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
            for name, film in self._films.items():
                if (pace := self.pace(name)) is None:
                    continue
                for encoder, work in film.items():
                    taken, usual = sums[encoder]
                    sums[encoder] = taken + work.seconds, usual + work.frames * pace
            self._slowness = {
                encoder: min(max(taken / max(usual, taken / MAX_SLOWNESS), 1 / MAX_SLOWNESS), MAX_SLOWNESS)
                for encoder, (taken, usual) in sums.items()
            }
            self._slowest = max(self._slowness.values(), default=1.0)
        return self._slowness
