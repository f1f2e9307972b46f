"""Whether something is left to be told of a job: steps of its record. Pure."""

from dataclasses import replace

from gateway.jobs.hooks import Webhook
from gateway.jobs.model import Job


def settle_webhook(job: Job, webhook: Webhook | None) -> Job:
    """Nothing is left to be told to the webhook, unless it was changed since it was this one."""
    return replace(job, webhook=replace(webhook, is_settled=True)) if webhook and job.webhook == webhook else job


def reopen_webhook(job: Job) -> Job:
    """What was told to the webhook is to be told anew."""
    webhook = job.webhook
    return replace(job, webhook=replace(webhook, is_settled=False, round=webhook.round + 1)) if webhook else job
