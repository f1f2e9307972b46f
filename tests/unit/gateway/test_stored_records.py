"""Records as the first version stored them: read, and written with the same fields again.

The literals were written by that version, and change for no reason: a store in use is full of them.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.assets.record import StoredAsset
from gateway.fleet.billing import UsageInterval
from gateway.fleet.estimates import Estimates
from gateway.fleet.instances.instance import Instance, InstanceAccess, InstanceRun, InstanceState
from gateway.jobs.model import Failure, Job, ResultWarning, Status, Task
from gateway.jobs.outputs import OutputTarget
from gateway.jobs.store import JobStore
from gateway.workers.tickets import AttemptTicket
from servicekit.codec import from_json, to_json

JOB = (
    b'{"id":"018c5a3f9e400123456789abcdef0123","operation":"img2vid","request":"AP92aWRlbw==","batch":true,"tasks":['
    b'{"item":"one","status":"COMPLETED","attempts":2,"started_at":1700000001.25,"asset":"assets/abc","frames":48,'
    b'"codec":"h264_nvenc","codec_reason":"GPU 0","failure":null,"warnings":[{"reason":"MISSING_GLYPHS","message":'
    b'"left out","metadata":{"cue":"1"}}],"spells":[{"machine":"api-gpu-1","started_at":1700000001.0,"ended_at":'
    b'1700000009.0}]},{"item":"two","status":"FAILED","attempts":1,"started_at":1700000002.0,"asset":"","frames":0,'
    b'"codec":"","codec_reason":"","failure":{"code":3,"message":"no image","reason":"BAD_INPUT"},"warnings":[],'
    b'"spells":[{"machine":"api-gpu-1","started_at":1700000002.0,"ended_at":null}]},{"item":"three","status":'
    b'"IN_QUEUE","attempts":0,"started_at":null,"asset":"","frames":0,"codec":"","codec_reason":"","failure":null,'
    b'"warnings":[],"spells":[]}],"created_at":1700000000.5,"started_at":1700000001.25,"ended_at":null,'
    b'"cancelled":false}'
)
INSTANCE = (
    b'{"id":"api-gpu-0123456789abcdef","provider":"vast","usd_per_hour":0.31,"created_at":1700000000.5,"state":'
    b'"READY","slots":2,"setup_seconds":95.0,"description":"RTX 4090","offer":"77","provider_id":"1234","host":"55",'
    b'"address":"203.0.113.7:40001","access":{"ca":"CA","certificate":"CERT","key":"KEY","session_token":"token"},'
    b'"ready_at":1700000100.0,"ended_at":null,"used_at":1700000200.0,"running":[{"task":"018c.0","started_at":'
    b'1700000150.0}],"draining":true,"busy_seconds":12.5,"tasks":3,"reason":"old"}'
)
TICKET = (
    b'{"id":"tttttttttttttttttttttttttt","asset_id":"aaaaaaaaaaaaaaaaaaaaaaaaaa","filename":"caption.mp4","inputs":'
    b'[["url_video","https://example.com/a.mp4"],["url_srt","assets/x"]],"run_id":"run-1","is_closed":true}'
)
ESTIMATES = (
    b'{"tasks":{"caption":{"seconds":16.0,"weight":3.0}},"setups":{"vast":{"seconds":113.33333333333333,"weight":3.0}}}'
)
ASSET = (
    b'{"id":"bbbbbbbbbbbbbbbbbbbbbbbbbb","filename":"a.mp4","content_type":"video/mp4","size_bytes":12,"sha256":"00ff",'
    b'"created_at":"2026-01-02T03:04:05.600000+00:00","expires_at":"2026-01-03T00:00:00+00:00"}'
)

RECORDS = {Job: JOB, Instance: INSTANCE, AttemptTicket: TICKET, Estimates: ESTIMATES, StoredAsset: ASSET}

# Fields that later versions added, as they are written where an earlier one wrote nothing.
ADDED = {AttemptTicket: b',"max_files":0'}
# Fields of a task, which the first version reads as the same where they are left out: as empty.
LEFT_OUT = ("attempts", "started_at", "asset", "frames", "codec", "codec_reason", "failure", "warnings", "spells")


def test_a_job_is_read():
    job = from_json(Job, JOB)
    assert (job.id, job.operation, job.batch) == ("018c5a3f9e400123456789abcdef0123", "img2vid", True)
    assert (job.request, job.status, job.created_at) == (b"\x00\xffvideo", Status.IN_PROGRESS, 1700000000.5)
    done, failed, waiting = job.tasks
    assert (done.item, done.status, done.attempts, done.frames) == ("one", Status.COMPLETED, 2, 48)
    assert (done.asset, done.codec, done.codec_reason) == ("assets/abc", "h264_nvenc", "GPU 0")
    assert done.warnings == (ResultWarning("MISSING_GLYPHS", "left out", {"cue": "1"}),)
    assert failed.failure == Failure(3, "no image", "BAD_INPUT")
    assert job.usage == (
        UsageInterval("api-gpu-1", 1700000001.0, 1700000009.0),
        UsageInterval("api-gpu-1", 1700000002.0),
    )
    assert waiting == Task("three")


def test_a_job_of_before_there_were_warnings_and_costs_is_read():
    stored = json.loads(JOB)
    for task in stored["tasks"]:
        del task["warnings"], task["spells"], task["codec_reason"]
    job = from_json(Job, json.dumps(stored).encode())
    assert [(task.warnings, task.codec_reason) for task in job.tasks] == [((), "")] * 3
    assert job.usage == ()


def test_an_instance_is_read():
    assert from_json(Instance, INSTANCE) == Instance(
        id="api-gpu-0123456789abcdef",
        provider="vast",
        usd_per_hour=0.31,
        created_at=1700000000.5,
        state=InstanceState.READY,
        slots=2,
        setup_seconds=95.0,
        description="RTX 4090",
        offer="77",
        provider_id="1234",
        host="55",
        address="203.0.113.7:40001",
        access=InstanceAccess("CA", "CERT", "KEY", "token"),
        ready_at=1700000100.0,
        used_at=1700000200.0,
        running=(InstanceRun("018c.0", 1700000150.0),),
        draining=True,
        busy_seconds=12.5,
        tasks=3,
        reason="old",
    )


def test_a_ticket_is_read():
    inputs = (("url_video", "https://example.com/a.mp4"), ("url_srt", "assets/x"))
    assert from_json(AttemptTicket, TICKET) == AttemptTicket("t" * 26, "a" * 26, "caption.mp4", inputs, "run-1", True)


def test_estimates_are_read():
    estimates = from_json(Estimates, ESTIMATES)
    assert estimates.task_seconds("caption") == 16.0
    assert estimates == replace(Estimates().with_task("caption", 8.0).with_setup("vast", 100.0, 120.0))


def test_an_asset_is_read():
    created_at = datetime(2026, 1, 2, 3, 4, 5, 600000, UTC)
    read = StoredAsset.from_json(ASSET.replace(b",", b", ").replace(b":", b": ", 1))
    assert read == StoredAsset("b" * 26, "a.mp4", "video/mp4", 12, "00ff", created_at, datetime(2026, 1, 3, tzinfo=UTC))


@pytest.mark.parametrize("kind", RECORDS)
def test_what_was_read_is_written_with_the_same_fields(kind):
    written = to_json(from_json(kind, RECORDS[kind]))
    assert json.loads(written.replace(ADDED.get(kind, b"nothing"), b"")) == without_empty(json.loads(RECORDS[kind]))


def without_empty(stored):
    """Leave out of the tasks of a job what is empty."""
    for task in stored["tasks"] if isinstance(stored.get("tasks"), list) else ():
        for name in LEFT_OUT:
            if not task[name]:
                del task[name]
    return stored


@pytest.mark.parametrize("kind", RECORDS)
def test_fields_of_a_later_version_are_dropped_at_every_depth(kind):
    later = json.dumps(with_later_fields(json.loads(RECORDS[kind]))).encode()
    assert from_json(kind, later) == from_json(kind, RECORDS[kind])


def with_later_fields(value, name=""):
    """Add a field to each object that is a dataclass; those that map names to values stay."""
    if isinstance(value, list):
        return [with_later_fields(part) for part in value]
    if isinstance(value, dict):
        added = {} if name in ("tasks", "setups", "metadata") else {"later": {"of": [1]}}
        return {key: with_later_fields(part, key) for key, part in value.items()} | added
    return value


class WrittenBucket:
    """A bucket that keeps what was written last."""

    max_value_bytes = 10**6
    written = b""

    async def create(self, key, value):
        self.written = value
        return 1


async def test_a_job_that_an_earlier_version_would_give_to_others_cannot_be_read_by_it():
    bucket, job = WrittenBucket(), from_json(Job, JOB)
    store = JobStore(bucket, None, 60.0)
    await store.add(job)
    assert from_json(Job, bucket.written) == job
    for later in ({"tenant": "acme"}, {"output": OutputTarget(("s3://media/a.mp4",))}):
        await store.add(replace(job, **later))
        with pytest.raises(ValueError, match="the data is no Job"):
            from_json(Job, bucket.written)
