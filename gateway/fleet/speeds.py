"""How fast tasks were on the encoders of all gateways, and what a job may take by that. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# Of each kind of task the last ones count.
REMEMBERED = 20
# Kinds are named by encoders.
MAX_KINDS = 64
# Below so many, others may well differ more than these did.
FEW, FEW_FACTOR, MANY_FACTOR = 5, 2.0, 1.25


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A task of a job that may come: its kind, and the frames that it makes, 0 where that is not known; of a piece also
    which film it is of."""

    kind: str
    frames: int
    film: str = ""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """From a low to a high value."""

    low: float
    high: float

    def times(self, factor: float) -> "ValueRange":
        """Return the range, both ends multiplied."""
        return ValueRange(self.low * factor, self.high * factor)

    @property
    def middle(self) -> float:
        """Half-way between both."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class JobEstimate:
    """What a job would take with so many encoders: seconds and US dollars, None where not known, and what they follow
    from."""

    encoders: int
    seconds: ValueRange | None
    usd: ValueRange | None
    basis: str


@dataclass(frozen=True, slots=True)
class TaskSample:
    """A task that was completed: how long it took, and the frames that it made, 0 where it made none."""

    seconds: float
    frames: int = 0


@dataclass(frozen=True, slots=True)
class TaskSpeeds:
    """The last tasks that were completed, by kind, the newest one at the end."""

    samples: Mapping[str, tuple[TaskSample, ...]] = field(default_factory=dict)

    def after(self, kind: str, sample: TaskSample) -> "TaskSpeeds":
        """Return the speeds with one more task."""
        if kind not in self.samples and len(self.samples) >= MAX_KINDS:
            return self
        return TaskSpeeds({**self.samples, kind: (*self.samples.get(kind, ()), sample)[-REMEMBERED:]})

    def count(self, kind: str) -> int:
        """Return how many tasks of a kind are known."""
        return len(self.samples.get(kind, ()))

    def usual_seconds(self, kind: str = "") -> float | None:
        """Return what a task of a kind took on the average ("": of any); None where none was seen."""
        kinds = (self.samples.get(kind, ()),) if kind else tuple(self.samples.values())
        found = [sample.seconds for samples in kinds for sample in samples]
        return sum(found) / len(found) if found else None

    def seconds(self, item: WorkItem) -> ValueRange | None:
        """Return what a task may take, by those of its kind: by the frame, where frames are known. None without any."""
        found = self._seconds_by_frames(item) or [sample.seconds for sample in self._alike(item)]
        if not found:
            return None
        factor = FEW_FACTOR if len(found) < FEW else MANY_FACTOR
        return ValueRange(min(found) / factor, max(found) * factor)

    def _seconds_by_frames(self, item: WorkItem) -> list[float]:
        """Return what a task would have taken by its frames; a part of an operation that was not seen yet takes as long
        for each as the whole does."""
        kinds = (item.kind, item.kind.partition(".")[0]) if item.frames else ()
        framed = ([one for one in self.samples.get(kind, ()) if one.frames] for kind in kinds)
        return [one.seconds / one.frames * item.frames for one in next(filter(None, framed), [])]

    def _alike(self, item: WorkItem) -> Sequence[TaskSample]:
        """Return the tasks of a kind; of one that makes no frames those that made none, as they only planned."""
        seen = self.samples.get(item.kind, ())
        return seen if item.frames else [one for one in seen if not one.frames] or seen

    def job_seconds(self, work: Iterable[WorkItem], encoders: int) -> ValueRange | None:
        """Return what tasks may take on encoders side by side: no less than the longest of them."""
        found = [self.seconds(item) for item in work]
        known = [one for one in found if one is not None]
        if not known or len(known) < len(found):
            return None
        return ValueRange(
            max(sum(one.low for one in known) / encoders, max(one.low for one in known)),
            max(sum(one.high for one in known) / encoders, max(one.high for one in known)),
        )

    def basis(self, work: Sequence[WorkItem]) -> str:
        """Return what is known of such tasks, for people."""
        kinds = dict.fromkeys(item.kind for item in work)
        unseen = [kind for kind in kinds if not self.count(kind)]
        if unseen:
            return f"no task of {', '.join(unseen)} was seen yet: times are not known"
        return "times of " + ", ".join(f"{self.count(kind)} tasks of {kind}" for kind in kinds)
