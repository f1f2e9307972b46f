"""Work that is repeated goes on after a fault, and ends with its cancellation."""

import asyncio

from structlog.testing import capture_logs

from servicekit.errors import Unavailable
from servicekit.tasks import cancel_and_wait, repeat
from tests.support.until import until


async def test_repeated_work_goes_on_after_faults_which_are_logged():
    faults, rounds = [Unavailable("away"), RuntimeError("unforeseen")], []

    async def work():
        rounds.append(len(faults))
        if faults:
            raise faults.pop(0)

    with capture_logs() as logs:
        repeating = asyncio.create_task(repeat("cannot work", 0.001, work))
        await until(lambda: len(rounds) > 3)
        await cancel_and_wait(repeating)
    assert repeating.cancelled()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("cannot work", "warning"),
        ("cannot work", "error"),
    ]
