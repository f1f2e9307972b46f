"""Pages of jobs, however large their batches are."""

import asyncio

import pytest

from apigpu.v1 import jobs_pb2
from gateway.assets.links import LinkSigner
from gateway.jobs.model import Job, Status, Task
from gateway.services.jobs import JobService
from gateway.services.presenters import Presenter
from servicekit.chunks import MAX_MESSAGE_BYTES
from servicekit.errors import InvalidArgument
from servicekit.tasks import running

DONE = Task(
    "image", Status.COMPLETED, asset="assets/aaaaaaaaaaaaaaaaaaaaaaaaaa", codec="x264", codec_reason="asked for"
)
MESSAGES = Presenter(LinkSigner(b"a secret that signs links", 60.0), lambda *_: None, "https://api.example.com")


def batches(count, images):
    return [Job(f"{n:032x}", "img2vid", b"", True, (DONE,) * images, 0.0, 0.0, 1.0) for n in range(count, 0, -1)]


async def test_a_page_ends_where_the_message_would_be_too_large():
    jobs, told = batches(40, 500), []
    while jobs:
        page = await MESSAGES.page(jobs, "")
        assert page.ByteSize() < MAX_MESSAGE_BYTES
        told += [job.id for job in page.jobs]
        jobs = [job for job in jobs if job.id < page.next_page_token]
    assert told == [job.id for job in batches(40, 500)]


async def test_a_page_that_fits_is_told_whole_with_the_token_of_the_next():
    page = await MESSAGES.page(batches(3, 1), "next")
    assert (len(page.jobs), page.next_page_token) == (3, "next")
    assert (await MESSAGES.page([], "")).next_page_token == ""


async def test_a_long_page_lets_others_be_served_between_its_jobs():
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running(others()):
        await MESSAGES.page(batches(20, 1), "")
    assert turns >= 20


async def test_a_status_of_a_later_version_is_refused():
    with pytest.raises(InvalidArgument, match="status: is 99; give one of STATUS_UNSPECIFIED, IN_QUEUE"):
        await JobService(*8 * [None]).ListJobs(jobs_pb2.ListJobsRequest(status=99), None)
