"""The state of the gateway for Prometheus, read when it is asked for: jobs, queue, encoders, rented instances, money,
disk and store. What is of all gateways, as the jobs are, each of them tells alike: take the largest, not the sum."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.components import Components
from gateway.fleet import billing


@dataclass(frozen=True, eq=False)
class GatewayMonitor(Collector):
    """Collects the metrics of a running gateway."""

    components: Components

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from self._jobs()
        yield from self._encoders()
        yield from self._fleet()
        yield from self._store()

    def _jobs(self) -> Iterator[Metric]:
        index = self.components.jobs.store.index
        counts = {status.value: count for status, count in index.counts(None).items()}
        yield _by("api_gpu_jobs", "Jobs that are kept, by status, of all gateways.", "status", counts)
        text = "Tasks that wait for an encoder, by operation, of all gateways."
        yield _by("api_gpu_queue_tasks", text, "operation", index.operations_waiting())
        yield _one("api_gpu_running_tasks", "Tasks at encoders, of all gateways.", index.tasks_running)
        text = "Seconds that the oldest job with a waiting task waits."
        yield _one("api_gpu_queue_oldest_seconds", text, index.oldest_wait_seconds(time.time()))

    def _encoders(self) -> Iterator[Metric]:
        pool = self.components.pool
        yield _one("api_gpu_encoders", "Encoders that answer this gateway.", pool.ready)
        yield _one("api_gpu_encoder_slots", "Slots of these encoders.", pool.slots)
        used = sum(member.used for member in pool.members)
        yield _one("api_gpu_encoder_slots_used", "Slots of encoders that this gateway uses.", used)

    def _fleet(self) -> Iterator[Metric]:
        registry, now = self.components.fleet.registry, time.time()
        living = registry.living()
        rented = GaugeMetricFamily(
            "api_gpu_rented_instances", "Rented encoders, by provider and state.", labels=("provider", "state")
        )
        for key, count in Counter((one.provider, one.state.value) for one in living).items():
            rented.add_metric(key, count)
        yield rented
        hourly = dict.fromkeys((one.provider for one in living), 0.0)
        for one in living:
            hourly[one.provider] += one.usd_per_hour
        yield _by("api_gpu_rented_usd_per_hour", "US dollars an hour of rented encoders.", "provider", hourly)
        spent = billing.spent_today(registry.all(), now)
        yield _one("api_gpu_spent_today_usd", "US dollars spent since midnight, UTC.", spent)
        faults = {name: float(bool(fault)) for name, fault in self.components.fleet.faults().items()}
        yield _by("api_gpu_provider_fault", "1 while a provider does not work.", "provider", faults)

    def _store(self) -> Iterator[Metric]:
        guard, jetstream = self.components.storage.guard, self.components.storage.jetstream
        yield _one("api_gpu_store_connected", "1 while NATS is connected.", jetstream.is_connected)
        yield _one("api_gpu_store_writable", "1 while new jobs can be stored.", guard.is_writable)
        text = "Bytes that the disk of DATA_DIR has free."
        yield _one("api_gpu_data_free_bytes", text, guard.floor.free_bytes)
        text = "Bytes of it below which uploads and new jobs are refused."
        yield _one("api_gpu_data_floor_bytes", text, guard.floor.floor_bytes)


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _by(name: str, text: str, label: str, values: dict[str, float] | dict[str, int]) -> Metric:
    metric = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        metric.add_metric((key,), value)
    return metric
