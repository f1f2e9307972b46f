"""Buckets that results can be put into, as the client sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from api_gpu.connection import Connection
from api_gpu.requests import from_message, to_datetime
from apigpu.v1 import destinations_pb2 as pb2
from apigpu.v1.destinations_pb2_grpc import DestinationServiceStub


@dataclass(frozen=True)
class Destination:
    """A bucket whose credentials the gateway keeps; `endpoint` is "" at Amazon S3. Times are UTC."""

    bucket: str
    region: str
    endpoint: str
    path_style: bool
    access_key_id: str
    created: datetime | None

    @classmethod
    def from_message(cls, message: pb2.Destination) -> Destination:
        """Return the destination that the gateway describes."""
        return from_message(cls, message, created=to_datetime(message.create_time))


@dataclass(frozen=True)
class ResultDelivery:
    """A result on its way: "PENDING", "DELIVERED" or "GIVEN_UP", to a place, and why the last attempt failed."""

    state: str
    place: str
    name: str
    item: str
    attempt_count: int
    error: str
    verified: bool


class Destinations:
    """The calls of DestinationService. Errors are subclasses of ServiceError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = DestinationServiceStub(connection.channel)

    def add(
        self,
        bucket: str,
        access_key_id: str,
        secret_access_key: str,
        *,
        region: str = "",
        endpoint: str = "",
        path_style: bool | None = None,
        session_token: str = "",
        test: bool = False,
        tenant: str = "",
    ) -> Destination:
        """Keep the credentials of a bucket, for results that are put there; `test` tries them first. `tenant` is for
        keys with the scope admin. Raises InvalidArgument, FailedPrecondition (the bucket refuses the test)."""
        request = pb2.AddDestinationRequest(
            bucket=bucket,
            region=region,
            endpoint=endpoint,
            path_style=path_style,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            session_token=session_token,
            test=test,
            tenant=tenant,
        )
        answer = self._connection.call(self._stub.AddDestination, request)
        return Destination.from_message(answer.destination)

    def list(self, tenant: str = "") -> list[Destination]:
        """Return the destinations, by the names of their buckets."""
        answer = self._connection.call(self._stub.ListDestinations, pb2.ListDestinationsRequest(tenant=tenant))
        return [Destination.from_message(found) for found in answer.destinations]

    def remove(self, bucket: str, tenant: str = "") -> None:
        """Forget the credentials of a bucket. Raises NotFound."""
        request = pb2.DeleteDestinationRequest(bucket=bucket, tenant=tenant)
        self._connection.call(self._stub.DeleteDestination, request)
