"""Runs of tasks that have ended are abandoned; what goes on is left alone."""

from dataclasses import dataclass, field, replace

from gateway.jobs import model
from gateway.jobs.claims import Claims
from gateway.jobs.executor import reap_orphaned_runs
from gateway.jobs.model import Failure, Job, Task
from gateway.jobs.store import JobStore


@dataclass
class Detached:
    """Notes what is abandoned."""

    keys: list[str]
    ended: dict[str, str] = field(default_factory=dict)

    async def resumable_tasks(self):
        return self.keys

    async def abandon(self, task_id, result):
        self.ended[task_id] = result


async def test_only_what_tasks_that_have_ended_left_is_ended(jetstream):
    store = JobStore(await jetstream.key_value("jobs"), Claims(await jetstream.key_value("claims")), 3600)
    await store.start()
    runs = Job(model.new_id(1), "caption", b"", False, (Task(),), created_at=1.0)
    cancelled = replace(runs, id=model.new_id(2))
    done = replace(runs, id=model.new_id(3))
    for job in (runs, cancelled, done):
        await store.add(job)
    await store.update(cancelled.id, lambda job: model.cancel(job, Failure(1, "x"), 2.0))
    await store.update(done.id, lambda job: model.complete_task(job, 0, model.Result("assets/a", 2), 2.0))
    gone = model.new_id(4)
    encoder = Detached([f"{job_id}.0" for job_id in (runs.id, cancelled.id, done.id, gone)])
    await reap_orphaned_runs(store, encoder)
    assert encoder.ended == {f"{cancelled.id}.0": "", f"{done.id}.0": "assets/a", f"{gone}.0": ""}
    await store.stop()
