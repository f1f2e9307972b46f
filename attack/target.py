"""The pair under attack: what an attack costs it, and what others get meanwhile."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from attack.usage import Meter
from attack.victims import Samples, Victims
from tools import pair
from tools.pair import Pair

SECONDS = 20.0
# As many samples as tell something, where the attack itself is over at once.
LEAST_SECONDS = 4.0
MAX_HEALTH_SECONDS = 0.5
MAX_JOB_SECONDS = 3.0

Attack = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True)
class Row:
    """An attack and its figures. `verdicts` are the aims, and whether each was met; none is a row to compare with."""

    attack: str
    cost: str
    samples: Samples
    verdicts: Mapping[str, bool]

    @property
    def is_met(self) -> bool:
        return all(self.verdicts.values())

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row: attack, cost, health, job, aims, verdict."""
        missed = [aim for aim, is_met in self.verdicts.items() if not is_met]
        verdict = f"MISSED: {', '.join(missed)}" if missed else "met" if self.verdicts else ""
        figures = (self.samples.health.text, self.samples.jobs.text)
        return self.attack, self.cost, *figures, ", ".join(self.verdicts), verdict


@dataclass
class Target:
    """A running pair, its honest clients, and the meters of its two services."""

    pair: Pair
    victims: Victims
    gateway: Meter
    encoder: Meter

    async def at_rest(self, name: str) -> Row:
        """Measure without an attack: what the others are compared with."""

        async def nothing() -> None:
            return None

        samples, _ = await self._measure(nothing, SECONDS)
        row = Row(name, self._cost(0), samples, {})
        for meter in (self.gateway, self.encoder):
            meter.note_rest(samples.jobs.count)
        return row

    async def under(
        self,
        name: str,
        attack: Attack,
        *,
        seconds: float = SECONDS,
        max_cpu_seconds: float | None = None,
        max_memory_mib: float | None = None,
        max_job_seconds: float | None = MAX_JOB_SECONDS,
    ) -> Row:
        """Measure while the attack runs, for `seconds` at most.

        `max_cpu_seconds` and `max_memory_mib` bound what the attack may cost both services together. An attack by
        somebody with a key may keep every slot busy with work that he is entitled to: None says so of honest jobs.
        """
        samples, note = await self._measure(attack, seconds)
        both = [meter.beside(samples.jobs.count) for meter in (self.gateway, self.encoder)]
        verdicts = {f"health < {MAX_HEALTH_SECONDS:g} s": samples.health.is_under(MAX_HEALTH_SECONDS)}
        if max_job_seconds is not None:
            verdicts[f"job < {max_job_seconds:g} s"] = samples.jobs.is_under(max_job_seconds)
        if max_cpu_seconds is not None:
            verdicts[f"CPU < {max_cpu_seconds:g} s"] = sum(one.cpu_seconds for one in both) < max_cpu_seconds
        if max_memory_mib is not None:
            verdicts[f"memory < {max_memory_mib:g} MiB"] = sum(one.memory_mib for one in both) < max_memory_mib
        return Row(name, self._cost(samples.jobs.count, note), samples, verdicts)

    def _cost(self, jobs: int, note: str = "") -> str:
        """Return what was used in words, that of the honest jobs taken off."""
        texts = (self.gateway.beside(jobs).text("gateway"), self.encoder.beside(jobs).text("encoder"), note)
        return "; ".join(filter(None, texts))

    async def _measure(self, attack: Attack, seconds: float) -> tuple[Samples, str]:
        await self.victims.begin()
        async with self.gateway.running(), self.encoder.running():
            least = asyncio.create_task(asyncio.sleep(LEAST_SECONDS))
            note = await _bounded(attack, seconds)
            await least
            samples = await self.victims.end()
        return samples, note


async def _bounded(attack: Attack, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            return await attack() or ""
    except TimeoutError:
        return f"ended after {seconds:g} s"


@contextlib.contextmanager
def running(data_dir: Path, environment: Mapping[str, str]) -> Iterator[Target]:
    """Start a pair with these settings, and its honest clients; both end with the block."""
    settings = {"LOG_LEVEL": "warning", **environment}
    with pair.running(data_dir, **settings) as started, Victims.of(started) as victims:
        meters = (Meter(started.service(name)) for name in ("gateway", "encoder"))
        yield Target(started, victims, *meters)
