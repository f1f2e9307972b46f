"""Parse what a worker reports through RunPod's queue: progress, the summary of a result, or its error."""

from typing import Any

from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from gateway.assets.store import StoredAsset
from servicekit.errors import CLASSES, CODES, DataLoss, Internal, ServiceError


def summary(output: Any, asset: StoredAsset) -> encoder_pb2.Summary:
    """Parse the summary in a worker's output. Raises DataLoss if it is not that of the result that was put."""
    try:
        made = json_format.ParseDict(_object(output), encoder_pb2.RemoteResult(), ignore_unknown_fields=True).summary
    except (json_format.ParseError, TypeError) as error:
        raise DataLoss("The worker's output is not the summary of a result.", reason="NO_SUMMARY") from error
    if (made.size_bytes, made.sha256) != (asset.size_bytes, asset.sha256):
        raise DataLoss("The result that was put is not the one that the worker reports.", reason="DIGEST_MISMATCH")
    return made


def bare_summary(asset: StoredAsset) -> encoder_pb2.Summary:
    """Make a summary of a result whose own is lost."""
    return encoder_pb2.Summary(size_bytes=asset.size_bytes, sha256=asset.sha256, content_type=asset.content_type)


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
