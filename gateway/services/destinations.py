"""DestinationService: buckets of callers, and their credentials, which go in and do not come out."""

import time
from dataclasses import dataclass

from apigpu.v1 import destinations_pb2 as pb2
from apigpu.v1 import destinations_pb2_grpc
from gateway.callers import caller, check_tenant
from gateway.jobs import options
from gateway.outputs.destinations import Destination
from gateway.outputs.setup import Outputs
from gateway.outputs.signing import AccessKey
from gateway.outputs.template import is_bucket
from gateway.services.presenters import shown_tenant
from gateway.services.times import timestamp
from gateway.sources import urls
from gateway.sources.guard import AddressGuard
from servicekit.echo import brief
from servicekit.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from servicekit.interceptors import Context

DEFAULT_REGION = "us-east-1"
MAX_REGION_CHARACTERS = 32
# Of temporary credentials of AWS; what ids and secrets have is far below.
MAX_SECRET_CHARACTERS = 4096
MAX_DESTINATIONS = 100


@dataclass(eq=False)
class DestinationService(destinations_pb2_grpc.DestinationServiceServicer):
    """Serves apigpu.v1.DestinationService."""

    outputs: Outputs
    guard: AddressGuard

    async def AddDestination(self, request: pb2.AddDestinationRequest, context: Context) -> pb2.AddDestinationResponse:
        destination, key = await self._checked(request)
        destination = self.outputs.destinations.sealed(destination, key)
        if request.test:
            found = await self.outputs.putter.test(destination)
            if found.error:
                text = f"The bucket {destination.bucket} does not take the test object. {found.error}"
                raise FailedPrecondition(text, reason="DESTINATION_REFUSED")
        await self.outputs.destinations.keep(destination)
        return pb2.AddDestinationResponse(destination=_message(destination))

    async def ListDestinations(
        self, request: pb2.ListDestinationsRequest, context: Context
    ) -> pb2.ListDestinationsResponse:
        found = await self.outputs.destinations.of(_tenant(request.tenant))
        return pb2.ListDestinationsResponse(destinations=map(_message, found))

    async def DeleteDestination(
        self, request: pb2.DeleteDestinationRequest, context: Context
    ) -> pb2.DeleteDestinationResponse:
        _check_bucket(request.bucket)
        await self.outputs.destinations.remove(_tenant(request.tenant), request.bucket)
        return pb2.DeleteDestinationResponse()

    async def _checked(self, request: pb2.AddDestinationRequest) -> tuple[Destination, AccessKey]:
        _check_bucket(request.bucket)
        region, endpoint = request.region or DEFAULT_REGION, request.endpoint.strip().rstrip("/")
        if not region.replace("-", "").isalnum() or not region.isascii() or len(region) > MAX_REGION_CHARACTERS:
            raise InvalidArgument.field("region", f"is {brief(region)!r}; give letters, digits and hyphens.")
        for name in ("access_key_id", "secret_access_key", "session_token"):
            _check_secret(name, getattr(request, name), is_required=name != "session_token")
        path_style = request.path_style if request.HasField("path_style") else bool(endpoint) or "." in request.bucket
        tenant = _tenant(request.tenant)
        own = await self.outputs.destinations.of(tenant)
        if len(own) >= MAX_DESTINATIONS and all(one.bucket != request.bucket for one in own):
            text = f"There are {MAX_DESTINATIONS} destinations already; delete some."
            raise FailedPrecondition(text, reason="TOO_MANY_DESTINATIONS")
        destination = Destination(
            tenant, request.bucket, region, endpoint, path_style, request.access_key_id, time.time()
        )
        if endpoint:
            await self._check_endpoint(endpoint)
        await options.check_url("endpoint", str(destination.url("")), self.guard)
        return destination, AccessKey(request.access_key_id, request.secret_access_key, request.session_token)

    async def _check_endpoint(self, endpoint: str) -> None:
        await options.check_url("endpoint", endpoint, self.guard)
        if urls.parse(endpoint).raw_path != b"/":
            raise InvalidArgument.field("endpoint", "has more than scheme and host; leave out what follows.")


def _tenant(given: str) -> str:
    """Return whose destinations are meant. Raises InvalidArgument, and PermissionDenied for those of others."""
    called = caller.get()
    if given:
        check_tenant(given)
    if not given or called.may_see(given):
        return given or called.tenant
    text = "The destinations of another tenant need a key with the scope admin."
    raise PermissionDenied(text, reason="SCOPE_MISSING", metadata={"scope": "admin"})


def _check_bucket(text: str) -> None:
    if not is_bucket(text):
        raise InvalidArgument.field("bucket", f"is {brief(text)!r}, and no bucket can be called that.")


def _check_secret(name: str, text: str, *, is_required: bool) -> None:
    """Refuse what can be no part of a key, without telling what it is."""
    is_fit = text.isascii() and text.isprintable() and " " not in text and len(text) <= MAX_SECRET_CHARACTERS
    if not is_fit or (is_required and not text):
        raise InvalidArgument.field(name, "is missing, too long, or has blanks or letters that no key has.")


def _message(destination: Destination) -> pb2.Destination:
    return pb2.Destination(
        bucket=destination.bucket,
        region=destination.region,
        endpoint=destination.endpoint,
        path_style=destination.path_style,
        access_key_id=destination.access_key_id,
        create_time=timestamp(destination.created_at),
        tenant=shown_tenant(destination.tenant),
    )
