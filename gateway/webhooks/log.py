"""What was told to the webhooks of jobs, for their callers; and to tell it anew."""

import time
from dataclasses import dataclass

from gateway.jetstream.records import Records
from gateway.jobs.model import Job
from gateway.jobs.store import JobStore
from gateway.webhooks import settling
from gateway.webhooks.deliveries import Deliveries, planned, reopened, webhook_id
from servicekit.errors import FailedPrecondition, NotFound


@dataclass(frozen=True)
class WebhookLog:
    """The deliveries of all jobs, on whichever gateway. Errors: NotFound (no such job), Unavailable."""

    store: JobStore
    records: Records[Deliveries]

    async def read(self, job_id: str) -> tuple[Job, Deliveries]:
        """Return a job and what is told of it, also what is about to be."""
        job = await self.store.visible(job_id)
        if job.webhook is None:
            return job, Deliveries()
        return job, planned(await self.records.get(job_id) or Deliveries(), job, time.time())

    async def redeliver(self, job_id: str, wanted_id: str) -> Deliveries:
        """Tell all anew, or what has the id; return it. Raise FailedPrecondition for a job without a webhook, NotFound
        for an id that there is not."""
        job, found = await self.read(job_id)
        if job.webhook is None:
            text = f"Job {job_id} has no webhook; give webhook_url with the request that makes a job."
            raise FailedPrecondition(text, reason="NO_WEBHOOK")
        names = [name for name in found.by_name if wanted_id in ("", webhook_id(job_id, name))]
        if wanted_id and not names:
            text = f"Nothing with this webhook_id is told of job {job_id}; GET /job/{job_id}/webhooks lists what is."
            raise NotFound(text, reason="WEBHOOK_NOT_FOUND")
        now = time.time()
        after = await self.records.update(
            job_id, lambda before: reopened(planned(before, job, now), names, now), Deliveries()
        )
        await self.store.update(job_id, settling.reopen_webhook)
        return Deliveries({name: after.by_name[name] for name in names})
