"""What is kept of the attempts at a task that were followed by another one. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from servicekit.codec import SPARSE

# Of each task, beside the newest attempt; of the tasks of a job with more than MANY only the last, as one record has
# all of them.
MAX_KEPT, MAX_KEPT_OF_MANY, MANY = 3, 1, 50
MAX_MESSAGE_CHARACTERS = 160


class AttemptOutcome(StrEnum):
    """How an attempt went that did not end its task. The values are the stored ones, and names of JobAttempt.Outcome in
    jobs.proto."""

    INTERRUPTED = "INTERRUPTED"
    OVERTAKEN = "OVERTAKEN"


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """Why an attempt ended without a result: reason for programs, text for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that was followed by another one, with the name of its encoder ("": none was needed)."""

    started_at: float
    ended_at: float
    encoder: str = field(default="", metadata=SPARSE)
    outcome: AttemptOutcome = field(default=AttemptOutcome.INTERRUPTED, metadata=SPARSE)
    reason: str = field(default="", metadata=SPARSE)
    message: str = field(default="", metadata=SPARSE)


# Its gateway ended, and another one found the task.
GATEWAY_GONE = AttemptEnd("GATEWAY_GONE", "The gateway ended in the middle of it.")
GATEWAY_STOPPED = AttemptEnd("GATEWAY_STOPPED", "The gateway was stopped in the middle of it.")
OVERTAKEN = AttemptEnd("", "Another encoder was done first.")


def with_attempt(
    past: Sequence[PastAttempt],
    attempt: tuple[float, str],
    now: float,
    end: AttemptEnd,
    *,
    tasks: int,
    outcome: AttemptOutcome = AttemptOutcome.INTERRUPTED,
) -> tuple[PastAttempt, ...]:
    """Return what is kept of attempts after one more has ended, by its start and its encoder; `tasks` is the number of
    tasks of the job."""
    started_at, encoder = attempt
    message = end.message[:MAX_MESSAGE_CHARACTERS]
    ended = PastAttempt(started_at, now, encoder, outcome, end.reason, message)
    return (*past, ended)[-(MAX_KEPT if tasks <= MANY else MAX_KEPT_OF_MANY) :]
