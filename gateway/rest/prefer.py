"""`Prefer: respond-async` (RFC 7240): the operation of a POST is queued by SubmitJob and answered with its job."""

from google.protobuf.message import Message
from starlette.datastructures import Headers

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.rest.protojson.fields import Descriptor
from gateway.rest.routes import Route, RouteTable

_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["JobService"]
_KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"]
RESPOND_ASYNC = "respond-async"


def wants_async(headers: Headers) -> bool:
    """Whether the client asked not to be kept waiting."""
    asked = ",".join(headers.getlist("prefer")).lower().split(",")
    return any(preference.split(";")[0].strip() == RESPOND_ASYNC for preference in asked)


class Submission:
    """Turns the request of an operation into the request of a job."""

    def __init__(self, table: RouteTable) -> None:
        self.route: Route = table.first(_JOBS.methods_by_name["SubmitJob"])
        self._job = table.first(_JOBS.methods_by_name["GetJob"])

    def takes(self, request: Descriptor) -> bool:
        """Whether this kind of request is an operation, so that it can be queued."""
        return _kind(request) is not None

    def wrap(self, message: Message) -> jobs_pb2.SubmitJobRequest:
        """The operation as a request for a job."""
        made = jobs_pb2.SubmitJobRequest()
        getattr(made.operation, _kind(message.DESCRIPTOR) or "").CopyFrom(message)
        return made

    def headers(self, response: Message) -> list[tuple[str, str]]:
        """The headers of the answer, given SubmitJob's response: where the job is."""
        job: jobs_pb2.Job = response.job  # type: ignore[attr-defined]
        where = self._job.template.expand({"id": job.id})
        return [("location", where), ("preference-applied", RESPOND_ASYNC)]


def _kind(request: Descriptor) -> str | None:
    kinds: dict[str, str] = {field.message_type.full_name: field.name for field in _KINDS.fields if field.message_type}
    return kinds.get(request.full_name)
