"""What a check is given, and what it finds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSED, FAILED, NOTED, IMPOSSIBLE = "passed", "failed", "noted", "not possible"


@dataclass(frozen=True)
class Scale:
    """How much a check does: in full on a card, or `is_short`, to see that it runs. And its folder, for files that go
    with it."""

    folder: Path
    is_short: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of clips."""
        return (320, 180) if self.is_short else (1920, 1080)

    @property
    def seconds(self) -> float:
        """Length of clips."""
        return 1.0 if self.is_short else 10.0

    @property
    def tasks(self) -> int:
        """Tasks that are to leave the card's memory as it was."""
        return 8 if self.is_short else 200

    @property
    def sessions(self) -> int:
        """Sessions that are opened at once, at the most."""
        return 4 if self.is_short else 32


@dataclass(frozen=True)
class Finding:
    """How a check went (PASSED, FAILED; NOTED where there is nothing to judge; IMPOSSIBLE without what it needs), in
    words, in figures, and in seconds."""

    outcome: str
    text: str
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def judged(faults: list[str], text: str, **figures: Any) -> Finding:
    """Return a finding that failed where there are faults, which it names before its text."""
    return Finding(FAILED if faults else PASSED, "; ".join([*faults, text]), figures)


@dataclass(frozen=True)
class Check:
    """A question, what answers it, and the seconds that it may take."""

    question: str
    run: Callable[[Scale], Awaitable[Finding]]
    limit_seconds: float
