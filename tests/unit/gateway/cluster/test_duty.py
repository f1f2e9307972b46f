"""What one gateway does for the jobs of all goes on, whatever befalls one of them."""

from gateway.cluster.duty import DutyLimits, LeaderDuty, Unsettled
from tests.support.until import until


class OwnLease:
    """A lease that nobody else wants."""

    is_fresh = is_held = True

    async def give_up(self):
        pass


async def test_a_job_that_cannot_be_served_is_tried_again():
    unsettled, served = Unsettled(), []

    async def serve(job_id):
        served.append(job_id)
        if len(served) == 1:
            raise ValueError("nobody thought of it")
        unsettled.note(job_id, "")

    async def dismiss():
        pass

    limits = DutyLimits(failed_seconds=0.0)
    duty = LeaderDuty("do it", unsettled, OwnLease(), limits, serve, dismiss)
    unsettled.note("a", "host")
    duty.start()
    try:
        await until(lambda: served == ["a", "a"])
    finally:
        await duty.close()
