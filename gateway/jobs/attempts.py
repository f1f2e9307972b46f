"""Which attempts at a task count, and when it is given up. Pure.

Attempts are spent on what the task itself may have done: it fails its encoder, or an encoder ends with it in hand. What
ends an attempt without a part of the task in it, as a line, a disk or a gateway, is waited out with growing pauses, up
to a time. A connection that broke tells one from the other by the encoder's process: it is still the same one, or not.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.jobs.model import LostEncoder, Status, Task
from gateway.jobs.policy import JobPolicy
from servicekit.backoff import Backoff
from servicekit.errors import Aborted, Internal

# The process of an encoder that answers now, by the encoder's name; None where none answers.
BootIds = Callable[[str], str | None]


class EncoderUndecided(Aborted):
    """Encoders that were lost with the task may have ended because of it: it waits until that is known."""


def check(task: Task, boot_ids: BootIds, policy: JobPolicy, now: float) -> None:
    """Raise Internal (GIVEN_UP) for a task that is to be tried no more, EncoderUndecided for one of which that is not
    known yet."""
    found = task.interruptions
    if task.status is Status.IN_QUEUE and task.attempts >= policy.max_attempts:
        # The last one was left to another gateway, which has let go of it.
        raise _given_up(task.attempts, "the encoder failed")
    if task.status is Status.IN_PROGRESS and is_over(task, policy, now):
        raise _given_up(found.count + 1 if found else 1, "the gateway ended in the middle of it")
    lost = [entry for entry in found.lost if boot_ids(entry.encoder) != entry.boot_id] if found else []
    ended = [entry for entry in lost if _has_ended(entry, boot_ids, policy, now)]
    if ended and task.attempts + len(ended) >= policy.max_attempts:
        raise _given_up(task.attempts + len(ended), "the encoder ended in the middle of it")
    if len(lost) > len(ended) and task.attempts + len(lost) >= policy.max_attempts:
        raise EncoderUndecided("Encoders that were lost with the task have not answered yet.")


def without_answered(task: Task, boot_ids: BootIds) -> Task:
    """Return the task without the lost encoders that have turned out to be still there: what ends them later is not
    of this task."""
    found = task.interruptions
    if found is None or not found.lost:
        return task
    lost = tuple(entry for entry in found.lost if boot_ids(entry.encoder) != entry.boot_id)
    return replace(task, interruptions=replace(found, lost=lost))


def is_over(task: Task, policy: JobPolicy, now: float) -> bool:
    """Return True for an interrupted task that was tried often enough, and for long enough."""
    found = task.interruptions
    return found is not None and (
        found.count + 1 >= policy.max_attempts and now - found.since >= policy.interrupted_seconds
    )


def pause_seconds(task: Task, policy: JobPolicy) -> float:
    """Return how long an interrupted task waits before its next attempt."""
    count = task.interruptions.count if task.interruptions else 0
    return Backoff(policy.retry_seconds, policy.max_retry_seconds).pause_seconds(count + 1)


def _has_ended(entry: LostEncoder, boot_ids: BootIds, policy: JobPolicy, now: float) -> bool:
    """Return True once an encoder answers as another process, or was silent for too long."""
    return boot_ids(entry.encoder) is not None or now - entry.lost_at > policy.lost_seconds


def _given_up(tries: int, what: str) -> Internal:
    return Internal(f"Given up after {tries} tries; each time {what}.", reason="GIVEN_UP")
