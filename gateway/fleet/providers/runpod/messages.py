"""Parse what a worker reports through RunPod's queue: progress, the summary of a result, or its error."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.store import StoredAsset
from gateway.workers.base import Outcome
from servicekit.errors import CLASSES, CODES, DataLoss, Internal, ServiceError


def outcome(output: Any, results: Sequence[StoredAsset]) -> Outcome:
    """Return the outcome of a task whose results were put by link, with the summary in the worker's output. Raises
    DataLoss if it is not that of these results."""
    try:
        made = json_format.ParseDict(_object(output), encoder_pb2.RemoteResult(), ignore_unknown_fields=True).summary
    except (json_format.ParseError, TypeError) as error:
        raise DataLoss("The worker's output is not the summary of a result.", reason="NO_SUMMARY") from error
    announced = [(made.size_bytes, made.sha256), *((file.size_bytes, file.sha256) for file in made.files)]
    if announced != [(asset.size_bytes, asset.sha256) for asset in results]:
        raise DataLoss("The result that was put is not the one that the worker reports.", reason="DIGEST_MISMATCH")
    return _outcome(made, results)


def bare_outcome(results: Sequence[StoredAsset]) -> Outcome:
    """Return the outcome of a task of which only the results are left."""
    first, *others = results
    summary = encoder_pb2.Summary(
        size_bytes=first.size_bytes,
        sha256=first.sha256,
        content_type=first.content_type,
        files=[
            encoder_pb2.ResultFile(
                name=file.filename, content_type=file.content_type, size_bytes=file.size_bytes, sha256=file.sha256
            )
            for file in others
        ],
    )
    return _outcome(summary, results)


def _outcome(summary: encoder_pb2.Summary, results: Sequence[StoredAsset]) -> Outcome:
    return Outcome(summary, results[0].id, tuple(asset.id for asset in results[1:]))


def progress(output: Any) -> encoder_pb2.EncodeProgress | None:
    """Parse the progress in a worker's output; None if it is something else."""
    try:
        return json_format.ParseDict(_object(output), encoder_pb2.EncodeProgress(), ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError):
        return None


def fault(error: str) -> ServiceError | None:
    """Parse the error that our worker wrote; None for any other text."""
    try:
        found = json_format.Parse(error, encoder_pb2.RemoteFault(), ignore_unknown_fields=True)
    except (json_format.ParseError, RecursionError):
        return None
    if found.code not in CODES or not found.code:
        return None
    kind = CLASSES.get(CODES[found.code], Internal)
    return kind(found.message, reason=found.reason, fields=dict(found.fields))


def _object(output: Any) -> dict[str, Any]:
    """Return an output that is an object. Raises TypeError: letters of a text would pass for fields."""
    if not isinstance(output, dict):
        raise TypeError(type(output).__name__)
    return output
