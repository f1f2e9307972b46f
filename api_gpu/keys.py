"""Keys of tenants, for an operator whose own key has the scope "admin"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from api_gpu.connection import Connection
from api_gpu.requests import from_message, to_datetime
from apigpu.v1 import keys_pb2
from apigpu.v1.keys_pb2_grpc import KeyServiceStub


@dataclass(frozen=True)
class Key:
    """A key without its text, as in Key of keys.proto. Times are UTC; a limit of 0 is none."""

    id: str
    tenant: str
    name: str
    scopes: tuple[str, ...]
    created: datetime | None
    expires: datetime | None
    revoked: datetime | None
    certificate_names: tuple[str, ...]
    max_queued_jobs: int
    max_running_tasks: int
    max_minutes_per_day: float
    max_usd_per_day: float

    @classmethod
    def from_message(cls, message: keys_pb2.Key) -> Key:
        """Return the key that the gateway describes."""
        return from_message(
            cls,
            message,
            scopes=tuple(message.scopes),
            created=to_datetime(message.create_time),
            expires=to_datetime(message.expire_time),
            revoked=to_datetime(message.revoke_time),
            certificate_names=tuple(message.certificate_names),
        )


class Keys:
    """The calls of KeyService. Errors are subclasses of ServiceError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = KeyServiceStub(connection.channel)

    def create(
        self,
        tenant: str,
        name: str = "",
        scopes: Sequence[str] = (),
        *,
        expires: datetime | None = None,
        certificate_names: Sequence[str] = (),
        max_queued_jobs: int = 0,
        max_running_tasks: int = 0,
        max_minutes_per_day: float = 0.0,
        max_usd_per_day: float = 0.0,
    ) -> tuple[Key, str]:
        """Make a key; return it and its text, which is kept nowhere. Without `scopes` it may submit, read, cancel and
        store files. Its limits hold beside those of its tenant; 0 is none."""
        request = keys_pb2.CreateKeyRequest(
            tenant=tenant,
            name=name,
            scopes=scopes,
            certificate_names=certificate_names,
            max_queued_jobs=max_queued_jobs,
            max_running_tasks=max_running_tasks,
            max_minutes_per_day=max_minutes_per_day,
            max_usd_per_day=max_usd_per_day,
        )
        if expires is not None:
            request.expire_time.FromDatetime(expires)
        answer = self._connection.call(self._stub.CreateKey, request)
        return Key.from_message(answer.key), answer.text

    def list(self, tenant: str = "") -> list[Key]:
        """Return the keys of a tenant ("": of all), the newest first."""
        keys, request = [], keys_pb2.ListKeysRequest(tenant=tenant)
        while True:
            answer = self._connection.call(self._stub.ListKeys, request)
            keys += [Key.from_message(key) for key in answer.keys]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return keys

    def update(
        self,
        key_id: str,
        *,
        max_queued_jobs: int | None = None,
        max_running_tasks: int | None = None,
        max_minutes_per_day: float | None = None,
        max_usd_per_day: float | None = None,
    ) -> Key:
        """Change limits of a key; None stays as it is, 0 is no limit. Raises NotFound, InvalidArgument."""
        request = keys_pb2.UpdateKeyRequest(
            id=key_id,
            max_queued_jobs=max_queued_jobs,
            max_running_tasks=max_running_tasks,
            max_minutes_per_day=max_minutes_per_day,
            max_usd_per_day=max_usd_per_day,
        )
        return Key.from_message(self._connection.call(self._stub.UpdateKey, request).key)

    def revoke(self, key_id: str) -> Key:
        """End a key for good. Raises NotFound."""
        answer = self._connection.call(self._stub.RevokeKey, keys_pb2.RevokeKeyRequest(id=key_id))
        return Key.from_message(answer.key)

    def rotate(self, key_id: str, grace_seconds: float = 0.0) -> tuple[Key, str]:
        """Give a key another text, and return both; the one before is taken for so many seconds still. Raises NotFound,
        FailedPrecondition."""
        request = keys_pb2.RotateKeyRequest(id=key_id, grace_seconds=grace_seconds)
        answer = self._connection.call(self._stub.RotateKey, request)
        return Key.from_message(answer.key), answer.text
