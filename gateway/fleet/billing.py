"""What jobs and days cost: pure sums over machines.

A machine's price, its set-up and its idle time with it, is shared out over the tasks that ran on it, by the seconds
that they ran: a run that took a tenth of all seconds worked bears a tenth of the price. So the costs of all jobs add
up to what was paid, but for machines that never came to work. While a machine lives, a job's share still changes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gateway.fleet.instances.instance import Instance, InstanceState

Find = Callable[[str], Instance | None]


@dataclass(frozen=True, slots=True)
class UsageInterval:
    """Time that a task spent on a rented machine; `ended_at` is None while it runs. Unix seconds."""

    machine: str
    started_at: float
    ended_at: float | None = None

    def seconds(self, until: float) -> float:
        """Seconds, `until` at the latest."""
        return max(0.0, min(self.ended_at or until, until) - self.started_at)


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars and seconds; `is_final` once they stay as they are."""

    usd: float
    seconds: float
    is_final: bool


@dataclass(frozen=True, slots=True)
class Day:
    """What was spent on one day (UTC) at one provider; see DayCosts in fleet.proto."""

    date: str
    provider: str
    usd: float = 0.0
    machines: int = 0
    tasks: int = 0
    busy_seconds: float = 0.0
    paid_seconds: float = 0.0


def merge(spells: Sequence[UsageInterval]) -> tuple[UsageInterval, ...]:
    """The same with those that have ended on one machine as one of their length, so that a record stays small."""
    found: dict[str, UsageInterval] = {}
    for spell in spells:
        if spell.ended_at is not None:
            before = found.get(spell.machine)
            seconds = before.seconds(spell.ended_at) if before else 0.0
            found[spell.machine] = UsageInterval(spell.machine, spell.started_at - seconds, spell.ended_at)
    return (*found.values(), *(spell for spell in spells if spell.ended_at is None))


def cost_of(spells: Sequence[UsageInterval], find: Find, now: float, idle_seconds: float = 0.0) -> Cost | None:
    """What spells cost together; None when there are none. `idle_seconds`: how long machines that live will idle before
    they end, which counts as if it were over."""
    if not spells:
        return None
    usd, seconds, is_final = 0.0, 0.0, True
    for spell in spells:
        machine = find(spell.machine)
        if machine is None:  # forgotten since: its share can no longer be told
            continue
        is_final = is_final and machine.state is InstanceState.TERMINATED
        usd += _share(spell, machine, now, idle_seconds)
        seconds += spell.seconds(machine.ended_at or now)
    return Cost(usd, seconds, is_final)


def _share(spell: UsageInterval, machine: Instance, now: float, idle_seconds: float) -> float:
    seconds = spell.seconds(machine.ended_at or now)
    # Its end may be written down before that of the run on the machine.
    worked = max(machine.worked_seconds(now), seconds)
    usd = machine.usd(now if machine.ended_at else now + idle_seconds)
    return usd * seconds / worked if worked else 0.0


def midnight(now: float) -> float:
    """When the day of `now` began, UTC."""
    return datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def spent_today(machines: Iterable[Instance], now: float) -> float:
    """Dollars since midnight, UTC."""
    start = midnight(now)
    return sum(machine.usd_between(start, now, now) for machine in machines)


def by_day(machines: Sequence[Instance], days: int, now: float) -> list[Day]:
    """The last `days` days, the newest first. Tasks and the seconds worked count on the day that a machine was made."""
    found: list[Day] = []
    for back in range(days):
        start = midnight(now) - timedelta(days=back).total_seconds()
        date = datetime.fromtimestamp(start, UTC).date().isoformat()
        for provider in sorted({machine.provider for machine in machines}):
            day = Day(date, provider)
            for machine in machines:
                if machine.provider == provider:
                    day = _with(day, machine, start, now)
            if day.paid_seconds:
                found.append(day)
    return found


def _with(day: Day, machine: Instance, start: float, now: float) -> Day:
    end = start + timedelta(days=1).total_seconds()
    seconds = max(0.0, min(machine.ended_at or now, end) - max(machine.created_at, start))
    day = replace(day, usd=day.usd + machine.usd_between(start, end, now), paid_seconds=day.paid_seconds + seconds)
    if not start <= machine.created_at < end:
        return day
    return replace(
        day,
        machines=day.machines + 1,
        tasks=day.tasks + machine.tasks,
        busy_seconds=day.busy_seconds + machine.worked_seconds(now),
    )
