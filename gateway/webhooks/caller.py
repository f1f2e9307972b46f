"""One call of a webhook: composed, signed, sent, and what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway.jobs.hooks import Occurrence
from gateway.jobs.model import Job
from gateway.jobs.progress import TaskProgress
from gateway.sources.send import Sender
from gateway.webhooks.deliveries import MAX_ERROR_CHARACTERS, WebhookAttempt, webhook_id
from gateway.webhooks.signing import WebhookSigner
from servicekit import tracing
from servicekit.errors import ServiceError

# Returns the body: the job, what happened, when that was (Unix seconds), and the progress of the tasks that run.
Compose = Callable[[Job, Occurrence, float, dict[int, TaskProgress]], bytes]


@dataclass(frozen=True)
class WebhookCaller:
    """Calls webhooks."""

    sender: Sender
    # Returns what signs for the jobs of a tenant.
    signer_of: Callable[[str], WebhookSigner]
    compose: Compose

    async def call(
        self, job: Job, what: Occurrence, since: float, running: dict[int, TaskProgress], name: str = ""
    ) -> WebhookAttempt:
        """Call the webhook of a job once; what fails is in the attempt. `name` is in place of the occurrence's own."""
        assert job.webhook is not None
        began, clock = time.time(), time.monotonic()
        status, error, after_seconds = 0, "", 0.0
        try:
            body = self.compose(job, what, since, running)
            headers = self.signer_of(job.tenant).headers(webhook_id(job.id, name or what.name), began, body)
            answer = await self.sender.send(job.webhook.url, {**headers, **dict(tracing.headers())}, body)
            status, after_seconds = answer.status, answer.retry_after_seconds
            error = "" if 200 <= status < 300 else f"answered with the HTTP status {status}"
        except ServiceError as raised:
            error = raised.message[:MAX_ERROR_CHARACTERS]
        return WebhookAttempt(began, status, error, round((time.monotonic() - clock) * 1000), after_seconds)
