"""What encoders and jobs cost the gateways and the store: arithmetic. No I/O; docs/scale.md has its tables.

Counts follow from the way of a job (ARCHITECTURE.md); processor times and sizes were measured (MEASURED). `bench.scale`
holds all of it to what the gateway's own parts do on a real nats-server.
"""

import math
from dataclasses import dataclass

HOUR_SECONDS = 3600.0
MIB = 1024**2
# Of a job: it is submitted. Of each task: it begins, it ends.
WRITES_OF_JOB, WRITES_OF_TASK = 1, 2
# Requests to the store, each with one answer. A job: its record. A task, at most: queue it, take it, read its job, read
# and write for the start, the same for the end, acknowledge it. The reads are left out of a record that is among the
# last ones that the gateway saw: in what a site asks they all count.
REQUESTS_OF_JOB, REQUESTS_OF_TASK = 1, 8
READS_OF_TASK = 3
# Told of each task beside what its encoder reports, unanswered: that it encodes.
PROGRESS_OF_TASK = 1
# A gateway writes which tasks it has, so often at most while that changes.
ASSIGNMENTS_PER_SECOND = 2.0
# Each message that is held is told of three times in ACK_WAIT_SECONDS.
HEARTBEATS_IN_ACK_WAIT = 3.0
PROGRESS_PER_SECOND = 4.0
POLL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured: processor milliseconds of a gateway for a job that it takes from submission to its end, for
    one that it only follows, for a poll of an encoder, for a message that it sends beside; of nats-server for a job;
    bytes of a record as it is sent and as it is stored, and in memory; of a watcher."""

    job_ms: float
    followed_ms: float
    poll_ms: float
    sent_ms: float
    server_ms: float
    record_bytes: int
    stored_bytes: int
    index_bytes: int
    watcher_bytes: int


@dataclass(frozen=True, kw_only=True)
class Site:
    """A service: encoders of one slot, jobs of one task an hour, gateways; the share of jobs that somebody watches, and
    the days for which records are kept."""

    encoders: int
    jobs_per_hour: float
    gateways: int = 1
    watched: float = 0.2
    kept_days: float = 7.0
    ack_wait_seconds: float = 10.0

    @property
    def jobs_per_second(self) -> float:
        """Jobs that are submitted, and end, in a second."""
        return self.jobs_per_hour / HOUR_SECONDS

    @property
    def task_seconds(self) -> float:
        """Seconds of a task where four fifths of the encoders are busy."""
        return 0.8 * self.encoders / self.jobs_per_second

    @property
    def running(self) -> float:
        """Tasks that run at a time."""
        return 0.8 * self.encoders

    @property
    def watchers(self) -> float:
        """Watches that are open at a time: as long as their tasks run."""
        return self.watched * self.running

    @property
    def kept(self) -> float:
        """Records that are kept."""
        return self.jobs_per_hour * 24 * self.kept_days


def record_writes(tasks: int = 1) -> int:
    """Return how often the record of a job is written."""
    return WRITES_OF_JOB + WRITES_OF_TASK * tasks


def requests(tasks: int = 1) -> int:
    """Return the requests of a job to the store, at most."""
    return REQUESTS_OF_JOB + REQUESTS_OF_TASK * tasks


def spared_requests(tasks: int = 1) -> int:
    """Return how many of them are left out where the gateway saw the job's record a moment ago each time."""
    return READS_OF_TASK * tasks


def progress_messages(tasks: int, reports: int) -> int:
    """Return what is published of the progress of a job, each task with so many reports of its encoder."""
    return tasks * (PROGRESS_OF_TASK + reports)


def heartbeats(running_seconds: float, ack_wait_seconds: float) -> float:
    """Return the heartbeats of messages whose tasks ran for so long, all together."""
    return running_seconds * HEARTBEATS_IN_ACK_WAIT / ack_wait_seconds


def watched_messages(tasks: int, gateways: int) -> int:
    """Return what the store sends the gateways of a job's changes: all follow all records."""
    return record_writes(tasks) * gateways


@dataclass(frozen=True)
class Load:
    """What a site asks of its store and of each gateway, in a second."""

    messages: float
    writes: float
    bytes: float
    gateway_cores: float
    server_cores: float
    gateway_mib: float
    stored_mib: float


def load(site: Site, figures: Figures) -> Load:
    """Return what a site asks, by the arithmetic and the figures."""
    rate = site.jobs_per_second
    assigning = site.gateways * min(ASSIGNMENTS_PER_SECOND, 2 * rate / site.gateways)
    beats = heartbeats(site.running, site.ack_wait_seconds)
    reports = PROGRESS_PER_SECOND * site.running
    sent = rate * (2 * requests() + PROGRESS_OF_TASK + watched_messages(1, site.gateways))
    messages = sent + beats + reports * (1 + site.watched) + assigning * (2 + site.gateways)
    taken, followed = rate / site.gateways, rate - rate / site.gateways
    polls = site.encoders / POLL_SECONDS
    beside = (beats + reports) / site.gateways
    ms = taken * figures.job_ms + followed * figures.followed_ms + polls * figures.poll_ms + beside * figures.sent_ms
    writes = rate * record_writes()
    reads = rate * READS_OF_TASK
    # 40 bytes for each running task of the assignments, told to every gateway.
    told = assigning * (1 + site.gateways) * 40 * site.running / site.gateways
    return Load(
        messages=messages,
        writes=writes + assigning,
        bytes=figures.record_bytes * (writes * (1 + site.gateways) + reads) + 100 * (beats + reports) + told,
        gateway_cores=ms / 1000,
        server_cores=rate * figures.server_ms / 1000,
        gateway_mib=(site.kept * figures.index_bytes + site.watchers * figures.watcher_bytes) / MIB,
        stored_mib=site.kept * figures.stored_bytes / MIB,
    )


def gateways_for(encoders: int, jobs_per_hour: float, figures: Figures, most_cores: float = 0.6) -> int | None:
    """Return the least number of gateways each of which is busy for no more than that share of its core; None where
    following the others' jobs, or polling the encoders, takes more than that already."""
    found = (n for n in range(1, 65) if _cores(n, encoders, jobs_per_hour, figures) <= most_cores)
    return next(found, None)


def _cores(gateways: int, encoders: int, jobs_per_hour: float, figures: Figures) -> float:
    return load(Site(encoders=encoders, jobs_per_hour=jobs_per_hour, gateways=gateways), figures).gateway_cores


def most_jobs_per_hour(figures: Figures, gateways: float = math.inf, most_cores: float = 0.6) -> float:
    """Return the jobs an hour that so many gateways take, as far as it is up to the jobs alone: each takes its part
    and follows the rest."""
    ms = figures.job_ms / gateways + figures.followed_ms * (1 - 1 / gateways)
    return most_cores * 1000 / ms * HOUR_SECONDS
