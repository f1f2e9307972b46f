"""Who calls: the tenant, the key and its scopes, known within every call of either door.

A tenant is who a key works for: what its keys make is its own, and does not exist for other tenants.
"""

import functools
import re
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf import descriptor_pool

from apigpu.v1 import options_pb2
from servicekit.errors import InvalidArgument, PermissionDenied

# The tenant of the keys in X_API_KEY, and of records of before there were others.
DEFAULT_TENANT = "default"
# Dots stand alone, as tenants are parts of names in the store.
TENANT = re.compile(r"(?=.{1,63}$)[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")


class Scope(StrEnum):
    """What a key may do. The values are those of the API, and of `scopes` in options.proto."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    ASSETS = "assets"
    FLEET = "fleet"
    ADMIN = "admin"


# What the keys in X_API_KEY may do.
ALL_SCOPES = frozenset(Scope)
COMMON_SCOPES = ALL_SCOPES - {Scope.ADMIN}
# Scopes of methods whose protos are not ours.
FOREIGN_SCOPES: dict[str, frozenset[Scope]] = {
    "/google.bytestream.ByteStream/Read": frozenset({Scope.READ, Scope.ASSETS}),
    "/google.bytestream.ByteStream/Write": frozenset({Scope.ASSETS}),
    "/google.bytestream.ByteStream/QueryWriteStatus": frozenset({Scope.ASSETS}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: its tenant, what names its key in limits and logs ("": none), what the key may do, and whether its
    jobs are held to limits of the key's own."""

    tenant: str = DEFAULT_TENANT
    key_id: str = ""
    scopes: frozenset[Scope] = COMMON_SCOPES
    is_limited: bool = False

    @property
    def sight(self) -> str | None:
        """The tenant whose jobs and files it may see; None for those of all."""
        return None if Scope.ADMIN in self.scopes else self.tenant

    @property
    def limited_key(self) -> str:
        """The id of its key where that has limits of its own, else ""."""
        return self.key_id if self.is_limited else ""

    @property
    def may_read(self) -> bool:
        """True for a key that may be told what others of its tenant have asked for."""
        return not self.scopes.isdisjoint({Scope.READ, Scope.ADMIN})

    @property
    def may_see_fleet(self) -> bool:
        """True for a key that is told of the encoders as such, and so of their addresses."""
        return not self.scopes.isdisjoint({Scope.FLEET, Scope.ADMIN})

    def may_see(self, tenant: str) -> bool:
        """Return True if what is a tenant's exists for the caller."""
        return self.sight in (None, tenant)

    def sight_of(self, tenant: str) -> str | None:
        """Return whose a list is that is asked for of a tenant ("": of all that the caller may see); None for all. What
        is another tenant's is not there: "", which nobody has."""
        if not tenant:
            return self.sight
        return tenant if self.may_see(tenant) else ""

    def check(self, method: str) -> None:
        """Raise PermissionDenied for a method that none of the key's scopes allows."""
        wanted = scopes_of(method)
        if wanted.isdisjoint(self.scopes):
            name, needed = method.rpartition("/")[2], " or ".join(sorted(wanted))
            has = ", ".join(sorted(self.scopes)) or "none"
            raise PermissionDenied(
                f"{name} needs a key with the scope {needed}; this one has {has}. Use another key, or have the "
                "operator make one with it.",
                reason="SCOPE_MISSING",
                metadata={"scope": needed},
            )


# Calls of methods that need no key.
NOBODY = Caller(tenant="", scopes=frozenset())
# What the gateway does outside of calls: its loops go by what records say, and what they tell somebody, as webhooks do,
# names no encoder.
OUTSIDE = Caller(scopes=COMMON_SCOPES - {Scope.FLEET})
# Within a call: who calls.
caller: ContextVar[Caller] = ContextVar("caller", default=OUTSIDE)  # it is frozen


@functools.cache
def scopes_of(method: str) -> frozenset[Scope]:
    """Return the scopes of which a caller of "/package.Service/Method" needs one; of a method that says none, admin."""
    service, _, name = method.removeprefix("/").rpartition("/")
    if method in FOREIGN_SCOPES:
        return FOREIGN_SCOPES[method]
    try:
        found = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return frozenset({Scope.ADMIN})
    said = found.GetOptions().Extensions[options_pb2.method].scopes
    return frozenset(map(Scope, said.split())) or frozenset({Scope.ADMIN})


def check_tenant(name: str) -> None:
    """Raise InvalidArgument for what can be no tenant."""
    if not TENANT.fullmatch(name):
        text = "give 1 to 63 small letters, digits, '-', '_' and '.', first a letter or digit, no '.' last or doubled."
        raise InvalidArgument.field("tenant", text)
