"""Limits, retry intervals and timeouts of the job subsystem."""

from dataclasses import dataclass

from servicekit.backoff import Backoff

CODEC_BUSY = Backoff(first_seconds=0.5, max_seconds=2.0)
ORIGIN_BUSY = Backoff(first_seconds=2.0, max_seconds=60.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPolicy:
    """Limits, and intervals in seconds."""

    max_task_seconds: float
    # Attempts at a task, and items of a batch.
    max_attempts: int
    max_items: int
    # How long a task is tried again that faults end in which it has no part: of lines, disks, gateways.
    interrupted_seconds: float = 3600.0
    # Tasks that may wait for an encoder.
    max_queued_tasks: int = 100_000
    # How long a request to submit waits for a store that does not answer.
    store_seconds: float = 15.0
    # Between two looks at the cost of a job that runs on rented instances.
    cost_check_seconds: float = 1.0
    # Between two looks at a job that is waited for: its changes are seen at once, unless the watch on records is down.
    recheck_seconds: float = 5.0
    # For the cancellation of a rejected job, while the store does not answer.
    withdraw_seconds: float = 600.0
    withdraw_retry_seconds: float = 1.0
    # Before a task comes again whose encoder was busy, and, times its attempts, one whose encoder was lost.
    busy_seconds: float = 0.5
    retry_seconds: float = 1.0
    # At most, before a task comes again that such faults ended.
    max_retry_seconds: float = 120.0
    # Between two looks whether the store has room for results, while it has none.
    room_seconds: float = 1.0
    # An encoder whose connection broke, and that does not answer for so long, has ended.
    lost_seconds: float = 60.0
    # At most, for its first answer after that.
    doubt_seconds: float = 3.0
    # A task whose inputs are not there after so long gives its slot to another, as far as not more than so many do.
    slot_grace_seconds: float = 0.2
    max_slow_tasks: int = 64
    # For a slot, while its task has none: one that never gave its own back is left to other gateways soon.
    slot_wait_seconds: float = 2.0
    prepared_wait_seconds: float = 60.0
    # Before a task comes again whose origin has too many downloads: longer each time, as the queue delivers what comes
    # again before what is new.
    origin_busy: Backoff = ORIGIN_BUSY
    # How long a task waits for another encoder than the one that failed it, while others are there and busy.
    elsewhere_seconds: float = 300.0
    # Before a task comes again whose codec no free encoder makes; and how long it waits for one while only others are
    # there.
    codec_busy: Backoff = CODEC_BUSY
    codec_wait_seconds: float = 600.0
    # Between two looks for old records, for jobs that are in no queue, and for runs that nobody follows.
    recover_seconds: float = 60.0
    # Between two looks for tasks that no living gateway has.
    lost_tasks_seconds: float = 5.0
    # Between two looks for tasks that lag.
    lag_seconds: float = 1.0
    # For the record of a result, while the store does not answer.
    record_seconds: float = 60.0
    record_retry_seconds: float = 0.5
