"""What becomes of the results between the tasks of a job that has ended."""

from collections.abc import Callable
from typing import Any, cast

from gateway.jobs import model
from gateway.jobs.intermediates import IntermediateCleanup
from gateway.jobs.model import Job
from tests.unit.gateway.jobs.test_further import done, planned, story, submitted


class Store:
    """Records of one job, of which a server answers with an earlier one first."""

    def __init__(self, *answers: Job) -> None:
        self.index = self
        self.on_end: list[object] = []
        self.answers = list(answers)
        self.newest = answers[-1]

    def with_intermediates(self) -> list[str]:
        return ["job"] if self.newest.intermediates else []

    async def get(self, _: str) -> Job:
        return self.answers.pop(0) if len(self.answers) > 1 else self.newest

    async def update(self, _: str, change: Callable[[Job], Job]) -> None:
        self.newest = change(self.newest)


class Assets:
    """Notes which files are removed, also where they have no record any more."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    async def remove(self, asset_id: str) -> None:
        self.removed.append(asset_id)


async def test_a_result_that_an_earlier_record_does_not_name_yet_is_deleted_before_it_is_forgotten() -> None:
    job = done(planned(submitted(story())), 1, 2, 3, 4, 5)
    ids = {index: "abcdef"[index] * 26 for index in job.intermediates}
    for index, asset_id in ids.items():
        job = model.with_task(job, index, asset=f"assets/{asset_id}")
    earlier = model.with_task(job, 3, asset="")
    store, assets = Store(earlier, job), Assets()
    cleanup = IntermediateCleanup(cast("Any", store), cast("Any", assets))
    await cleanup.delete_all()
    assert ids[3] not in assets.removed
    assert store.newest.intermediates == (3,)
    await cleanup.delete_all()
    assert sorted(assets.removed) == sorted(ids.values())
    assert store.newest.intermediates == ()
