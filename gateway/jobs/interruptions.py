"""What ended attempts at a task that had no part in it, and the encoders that failed it. Pure."""

from dataclasses import dataclass

# The encoders lost with a task that its record names, and the attempts.
MAX_LOST = 10


@dataclass(frozen=True, slots=True)
class UnfitEncoder:
    """An encoder that failed a task by a fault of its own, and when."""

    encoder: str
    failed_at: float


@dataclass(frozen=True, slots=True)
class LostEncoder:
    """An encoder whose connection broke in the middle of a task: which of its processes, and when."""

    encoder: str
    boot_id: str
    lost_at: float


@dataclass(frozen=True, slots=True)
class Interruptions:
    """Attempts that were ended by what the task had no part in: since when, how many, and encoders lost with it."""

    since: float
    count: int = 0
    lost: tuple[LostEncoder, ...] = ()
