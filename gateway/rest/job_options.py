"""What stands in the body of an operation beside its own fields: JobOptions, as the metadata of the call."""

from typing import Any

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.rest.protojson import decode
from gateway.rest.protojson.decode import Descriptor
from gateway.rest.routes import OPERATIONS

# Metadata of calls that make a job.
KEY = "job-options-bin"
_DESCRIPTOR = jobs_pb2.JobOptions.DESCRIPTOR
_JOB = video_pb2.Operation.DESCRIPTOR


def takes_options(descriptor: Descriptor | None) -> bool:
    """Return True for the message of an operation, and for that which holds one of any kind."""
    return descriptor is not None and (descriptor is _JOB or descriptor.full_name in OPERATIONS)


def take(descriptor: Descriptor | None, body: Any, options: jobs_pb2.JobOptions) -> Any:
    """Set the options that a body has; return the body without them. In that of a job they may stand beside the
    operation or in it. Raises InvalidArgument."""
    if not takes_options(descriptor) or not isinstance(body, dict):
        return body
    if descriptor is not _JOB:
        return _taken(body, options)
    inside = {
        name: _taken(value, options) if isinstance(value, dict) and decode.field_named(_JOB, name) else value
        for name, value in body.items()
    }
    return _taken(inside, options)


def _taken(body: dict[str, Any], options: jobs_pb2.JobOptions) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if decode.field_named(_DESCRIPTOR, name) is not None}
    if not found:
        return body
    given = jobs_pb2.JobOptions()
    decode.merge(given, found)
    if twice := {field.name for field, _ in given.ListFields()} & {field.name for field, _ in options.ListFields()}:
        name = min(twice)
        raise decode.given_twice(name, f"{name} of the operation")
    options.MergeFrom(given)
    return {name: value for name, value in body.items() if name not in found}
