"""KeyService: keys of tenants, for the operator."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from apigpu.v1 import keys_pb2 as pb2
from apigpu.v1 import keys_pb2_grpc
from gateway.callers import Scope, check_tenant
from gateway.keys import record
from gateway.keys.record import KeyRecord
from gateway.keys.ring import KeyRing, NewKey
from gateway.services.limits import given_numbers
from gateway.services.times import timestamp
from gateway.services.tokens import PageTokens
from gateway.tenants.limits import WORK_LIMITS, WorkLimits
from servicekit.echo import brief
from servicekit.errors import InvalidArgument, NotFound
from servicekit.interceptors import Context

DEFAULT_SCOPES = (Scope.SUBMIT, Scope.READ, Scope.CANCEL, Scope.ASSETS)
MAX_NAME_CHARACTERS = 100
MAX_PAGE = 1000
MAX_CERTIFICATE_NAMES = 20
MAX_CERTIFICATE_NAME_CHARACTERS = 255
MAX_GRACE_SECONDS = 7 * 86_400.0


@dataclass(eq=False)
class KeyService(keys_pb2_grpc.KeyServiceServicer):
    """Serves apigpu.v1.KeyService."""

    ring: KeyRing
    tokens: PageTokens

    async def CreateKey(self, request: pb2.CreateKeyRequest, context: Context) -> pb2.CreateKeyResponse:
        made, text = await self.ring.create(_wanted(request))
        return pb2.CreateKeyResponse(key=_key(made), text=text)

    async def ListKeys(self, request: pb2.ListKeysRequest, context: Context) -> pb2.ListKeysResponse:
        size = request.page_size or MAX_PAGE
        if not 0 < size <= MAX_PAGE:
            raise InvalidArgument.field("page_size", f"is {size}; give 1 to {MAX_PAGE}.")
        wanted = f"keys of {request.tenant!r}"
        place = self.tokens.read(request.page_token, wanted)
        found = [key for key in self.ring.list(request.tenant) if not place or _place(key) < place]
        after = _place(found[size - 1]) if len(found) > size else ""
        return pb2.ListKeysResponse(keys=map(_key, found[:size]), next_page_token=self.tokens.make(after, wanted))

    async def UpdateKey(self, request: pb2.UpdateKeyRequest, context: Context) -> pb2.UpdateKeyResponse:
        changes = given_numbers(request, WORK_LIMITS)
        return pb2.UpdateKeyResponse(key=_key(await self.ring.set_limits(_id(request.id), changes)))

    async def RevokeKey(self, request: pb2.RevokeKeyRequest, context: Context) -> pb2.RevokeKeyResponse:
        return pb2.RevokeKeyResponse(key=_key(await self.ring.revoke(_id(request.id))))

    async def RotateKey(self, request: pb2.RotateKeyRequest, context: Context) -> pb2.RotateKeyResponse:
        if not 0 <= request.grace_seconds <= MAX_GRACE_SECONDS:
            text = f"is {request.grace_seconds:g}; give 0 to {MAX_GRACE_SECONDS:g}."
            raise InvalidArgument.field("grace_seconds", text)
        changed, text = await self.ring.rotate(_id(request.id), request.grace_seconds)
        return pb2.RotateKeyResponse(key=_key(changed), text=text)


def _place(key: KeyRecord) -> str:
    """Return what sorts keys by their age."""
    return f"{key.created_at:020.6f} {key.id}"


def _id(text: str) -> str:
    """Return the id that a caller gave. Raises NotFound for what can be none."""
    if not record.ID.fullmatch(text):
        raise NotFound(f"There is no key {brief(text)}.", reason="KEY_NOT_FOUND")
    return text


def _wanted(request: pb2.CreateKeyRequest) -> NewKey:
    """Return the key that is asked for. Raises InvalidArgument."""
    check_tenant(request.tenant)
    if len(request.name) > MAX_NAME_CHARACTERS or (request.name and not request.name.isprintable()):
        raise InvalidArgument.field("name", f"give {MAX_NAME_CHARACTERS} printable characters at most.")
    expires_at = request.expire_time.ToMilliseconds() / 1000 if request.HasField("expire_time") else None
    if expires_at is not None and expires_at <= time.time():
        raise InvalidArgument.field("expire_time", "has passed; give a time to come, or none.")
    names = _names(request.certificate_names)
    limits = WorkLimits(**given_numbers(request, WORK_LIMITS))
    return NewKey(request.tenant, request.name, _scopes(request.scopes), expires_at, names, limits)


def _scopes(given: Sequence[str]) -> tuple[Scope, ...]:
    for name in given:
        if name not in list(Scope):
            raise InvalidArgument.field("scopes", f"{brief(name)!r} is none; give some of {', '.join(Scope)}.")
    return tuple(scope for scope in Scope if scope in given) or DEFAULT_SCOPES


def _names(given: Sequence[str]) -> tuple[str, ...]:
    is_long = any(not 1 <= len(name) <= MAX_CERTIFICATE_NAME_CHARACTERS for name in given)
    if len(given) > MAX_CERTIFICATE_NAMES or is_long:
        text = f"give {MAX_CERTIFICATE_NAMES} names at most, of 1 to {MAX_CERTIFICATE_NAME_CHARACTERS} characters."
        raise InvalidArgument.field("certificate_names", text)
    return tuple(dict.fromkeys(given))


def _key(key: KeyRecord) -> pb2.Key:
    return pb2.Key(
        id=key.id,
        tenant=key.tenant,
        name=key.name,
        scopes=key.scopes,
        create_time=timestamp(key.created_at),
        expire_time=timestamp(key.expires_at),
        revoke_time=timestamp(key.revoked_at),
        certificate_names=key.certificate_names,
        **asdict(key.limits),
    )
