"""What may be told of a job to the webhook of its caller, and what of it has happened. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from servicekit.codec import SPARSE

if TYPE_CHECKING:
    from gateway.jobs.model import Job

QUEUED, STARTED, ITEM, PROGRESS, ENDED = "job.queued", "job.started", "job.item", "job.progress", "job.ended"
EVENTS = (QUEUED, STARTED, ITEM, PROGRESS, ENDED)
# One call, at the end: what a flow that waits for it goes on with.
DEFAULT_EVENTS = (ENDED,)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a job is told of, and what. `base_url` is scheme and host of the links in it, as the caller knows them.
    `is_settled` once nothing is left to be told; `round` counts how often it was to be told anew."""

    url: str
    events: tuple[str, ...]
    base_url: str
    is_settled: bool = field(default=False, metadata=SPARSE)
    round: int = field(default=0, metadata=SPARSE)

    @property
    def origin(self) -> str:
        """The host and port that are called."""
        return urlsplit(self.url).netloc.lower()


class Occurrence(NamedTuple):
    """One thing that happened to a job: which event, and the number of the task that ended (-1: none)."""

    event: str
    task: int = -1

    @property
    def name(self) -> str:
        """Names it within the job: "ended", "item-3"."""
        short = self.event.removeprefix("job.")
        return short if self.task < 0 else f"{short}-{self.task}"


def occurrences(job: "Job") -> Iterator[Occurrence]:
    """Yield what has happened to the job so far of what its webhook is told, in the order in which it happens."""
    chosen = job.webhook.events if job.webhook else ()
    if QUEUED in chosen:
        yield Occurrence(QUEUED)
    if STARTED in chosen and job.started_at is not None:
        yield Occurrence(STARTED)
    if ITEM in chosen and job.batch:
        yield from (Occurrence(ITEM, index) for index, task in enumerate(job.tasks) if task.status.is_terminal)
    if ENDED in chosen and job.status.is_terminal:
        yield Occurrence(ENDED)
