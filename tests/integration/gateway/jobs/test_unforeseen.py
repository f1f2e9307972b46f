"""What nobody foresaw in the queue or in a record stops nothing but itself."""

import base64
import time

import pytest

from gateway.jetstream.records import UnreadableRecord
from gateway.jobs.listing import JobFilter
from gateway.jobs.model import Status
from servicekit.errors import Internal, NotFound
from tests.support.until import until


async def spoil(works, job_id):
    """Let a later version write the record."""
    record = (await works.bucket.get(job_id)).value
    await works.bucket.put(job_id, record.replace(b'"status":"', b'"status":"LATER_'))
    with pytest.raises(UnreadableRecord, match="cannot read the record"):
        await works.store.get(job_id)


@pytest.mark.parametrize("retry", [{"retry_seconds": 0.05}])
async def test_messages_that_name_no_task_do_not_stop_the_queue(works):
    for number in range(3):  # more than there are slots
        await works.work_queue.put(f"nonsense-{number}")
    job = await works.manager.submit(await works.caption())
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_a_message_that_names_no_task_is_an_error_that_names_it(works):
    await works.dispatcher.drain(0)
    await works.work_queue.put("nonsense")
    with pytest.raises(Internal, match="names no task: nonsense"):
        await works.queue.next()


async def test_a_record_of_a_later_version_does_not_keep_others_from_being_found_again(works):
    await works.dispatcher.drain(0)
    jobs = [await works.manager.submit(await works.caption()) for _ in range(2)]
    for _ in jobs:
        await (await works.queue.next()).delivery.ack()
    await spoil(works, jobs[0].id)
    works.dispatcher.start()
    assert (await works.result(jobs[1].id)).status is Status.COMPLETED


async def test_a_record_of_a_later_version_is_left_out_of_pages_and_keeps_no_other_from_being_deleted(works):
    jobs = [await works.result((await works.manager.submit(await works.caption())).id) for _ in range(2)]
    await spoil(works, jobs[0].id)
    assert [job.id for job in (await works.manager.page(JobFilter(), 5, ""))[0]] == [jobs[1].id]
    await works.store.prune(time.time() + 3700)
    with pytest.raises(NotFound):
        await works.store.get(jobs[1].id)


@pytest.mark.parametrize("retry", [{"recover_seconds": 0.1}])
async def test_the_check_of_the_queue_goes_on_after_a_fault(works):
    await works.dispatcher.drain(0)
    job = await works.manager.submit(await works.caption())
    await (await works.queue.next()).delivery.ack()
    works.bucket.faults = [RuntimeError("unforeseen")] * 2
    works.dispatcher.start()
    await until(lambda: not works.bucket.faults)
    assert (await works.result(job.id)).status is Status.COMPLETED


async def test_an_operation_of_a_later_version_is_left_to_a_gateway_that_knows_it(works):
    await works.dispatcher.drain(0)
    jobs = [await works.manager.submit(await works.caption()) for _ in range(2)]
    record = (await works.bucket.get(jobs[0].id)).value
    later = jobs[0].request.replace(b"\x0a", b"\xfa\x3e", 1)  # field 1, caption, becomes field 1007
    encoded = [base64.b64encode(request) for request in (jobs[0].request, later)]
    await works.bucket.put(jobs[0].id, record.replace(*encoded))
    works.dispatcher.start()
    assert (await works.result(jobs[1].id)).status is Status.COMPLETED
    left = await works.store.get(jobs[0].id)
    assert (left.status, left.tasks[0].attempts) == (Status.IN_QUEUE, 0)
