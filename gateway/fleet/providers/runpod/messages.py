"""A task as it travels through a provider's queue: links out, an outcome or a fault back. See RemoteTask."""

from typing import Any

from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.links import LinkSigner
from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore, StoredAsset
from gateway.fleet.providers.runpod.tickets import AttemptTicket
from gateway.workers.base import EncodeJob, Input, InputFailed, about
from servicekit.errors import CLASSES, CODES, DataLoss, Internal, ServiceError


class TaskLinks:
    """Makes the links of a ticket; they lead to gateway/rest/worker_links.py, or straight to a store that can sign."""

    def __init__(self, links: LinkSigner, assets: AssetStore, public_url: str, seconds: float) -> None:
        """`public_url` is where workers reach this gateway's HTTP port; links open for `seconds` at most."""
        self._links = links
        self._assets = assets
        self._public_url = public_url.rstrip("/")
        self._seconds = seconds

    async def remote_task(self, job: EncodeJob, ticket: AttemptTicket) -> encoder_pb2.RemoteTask:
        """The task with the links of this ticket. Raises InputFailed for an asset that is not there."""
        inputs = [encoder_pb2.Input(field=entry.field) for entry in job.inputs]
        return encoder_pb2.RemoteTask(
            task=encoder_pb2.Task(id=job.id, operation=job.operation, inputs=inputs),
            input_urls=[await self._input_url(job.id, ticket, entry, n) for n, entry in enumerate(job.inputs)],
            result_url=self._url(f"/tasks/{job.id}/{ticket.id}/result"),
        )

    async def _input_url(self, key: str, ticket: AttemptTicket, entry: Input, number: int) -> str:
        direct = None
        if entry.source.startswith(PREFIX):
            try:
                direct = await self._assets.signed_url(parse_name(entry.source), self._seconds)
            except ServiceError as error:
                raise InputFailed(about(entry.field, error)) from error
        return direct or self._url(f"/tasks/{key}/{ticket.id}/inputs/{number}")

    def _url(self, path: str) -> str:
        return self._public_url + self._links.sign(path, self._seconds)


def summary(output: Any, asset: StoredAsset) -> encoder_pb2.Summary:
    """The summary in a worker's output, held against the result that came. Raises DataLoss."""
    try:
        made = json_format.ParseDict(_object(output), encoder_pb2.RemoteResult(), ignore_unknown_fields=True).summary
    except (json_format.ParseError, TypeError) as error:
        raise DataLoss("The worker's output is not the summary of a result.", reason="NO_SUMMARY") from error
    if (made.size_bytes, made.sha256) != (asset.size_bytes, asset.sha256):
        raise DataLoss("The result that came is not the one that the worker tells of.", reason="DIGEST_MISMATCH")
    return made


def bare_summary(asset: StoredAsset) -> encoder_pb2.Summary:
    """What is known of a result whose summary is lost."""
    return encoder_pb2.Summary(size_bytes=asset.size_bytes, sha256=asset.sha256, content_type=asset.content_type)


def progress(output: Any) -> encoder_pb2.EncodeProgress | None:
    """The progress that a worker tells while it works; None where it tells none, or something else."""
    try:
        return json_format.ParseDict(_object(output), encoder_pb2.EncodeProgress(), ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError):
        return None


def fault(error: str) -> ServiceError | None:
    """The error that our worker wrote; None for a text that is not by it."""
    try:
        found = json_format.Parse(error, encoder_pb2.RemoteFault(), ignore_unknown_fields=True)
    except (json_format.ParseError, RecursionError):
        return None
    if found.code not in CODES or not found.code:
        return None
    kind = CLASSES.get(CODES[found.code], Internal)
    return kind(found.message, reason=found.reason, fields=dict(found.fields))


def _object(output: Any) -> dict[str, Any]:
    """What RunPod gives for an output of one of ours. Raises TypeError: letters of a text would pass for fields."""
    if not isinstance(output, dict):
        raise TypeError(type(output).__name__)
    return output
