"""The arithmetic of docs/scale.md, held to what the gateway's own parts do on a real nats-server with simulated
encoders; `make scale` is its long form, with 1,000 of them."""

import pytest

from bench import scale, scale_model
from bench.scale_model import Site
from tests.support.paths import ROOT

# Polls of the queue between jobs, and writes of which tasks a gateway has, come on top by the clock.
MOST_OVER = 1.25


async def counted(folder, encoders, jobs, **more):
    (folder / str(encoders)).mkdir(exist_ok=True)
    return await scale.measured(encoders, jobs, folder / str(encoders), **more)


@pytest.mark.timeout(240)
async def test_jobs_take_the_messages_and_writes_of_the_arithmetic_however_many_encoders_there_are(tmp_path):
    few = await counted(tmp_path, 8, 120, task_seconds=0.2)
    many = await counted(tmp_path, 96, 120, task_seconds=0.4, followers=1)
    for run in (few, many):
        assert run.counted.record_writes == run.jobs * scale_model.record_writes()
        to_server, from_server = run.expected_to_server(), run.expected_from_server()
        assert to_server - run.spared() <= run.counted.to_server <= MOST_OVER * to_server
        assert from_server - run.spared() <= run.counted.from_server <= MOST_OVER * from_server
        assert 0.8 < run.record_bytes / scale.MEASURED.stored_bytes < 1.2
    assert many.counted.gateway_seconds < 3 * few.counted.gateway_seconds


async def test_tasks_that_begin_and_end_together_are_written_together(tmp_path):
    run = await counted(tmp_path, 40, 1, images=80, task_seconds=0.2)
    assert run.counted.record_writes <= scale_model.record_writes(80)
    assert run.counted.to_server <= MOST_OVER * run.expected_to_server()


def test_the_tables_are_those_of_the_arithmetic():
    assert scale.site_table() in (ROOT / "docs" / "scale.md").read_text()


def test_what_a_site_asks_grows_with_its_jobs_and_its_gateways():
    small, large = (
        scale_model.load(Site(encoders=100, jobs_per_hour=jobs), scale.MEASURED) for jobs in (1_000, 10_000)
    )
    assert 7 < large.writes / small.writes <= 10
    assert large.messages < 2 * small.messages  # most of them go with the tasks that run
    alone = scale_model.most_jobs_per_hour(scale.MEASURED, 1)
    assert alone < scale_model.most_jobs_per_hour(scale.MEASURED, 4) < scale_model.most_jobs_per_hour(scale.MEASURED)
