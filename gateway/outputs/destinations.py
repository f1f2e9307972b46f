"""Buckets of tenants that results are put into: kept with sealed credentials, and addressed and signed for."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

import httpx

from gateway.jetstream.records import Records
from gateway.outputs.sealing import Sealer
from gateway.outputs.signing import AccessKey, signed
from servicekit.codec import SPARSE, from_json, to_json
from servicekit.errors import NotFound

AMAZON = "https://s3.{region}.amazonaws.com"


@dataclass(frozen=True, slots=True)
class Destination:
    """A bucket of a tenant. `endpoint` is scheme and host of its store ("": Amazon S3); `sealed` holds its secrets."""

    tenant: str
    bucket: str
    region: str
    endpoint: str
    path_style: bool
    access_key_id: str
    created_at: float
    sealed: bytes = field(default=b"", metadata=SPARSE)

    @property
    def key(self) -> str:
        """The key of its record."""
        return record_key(self.tenant, self.bucket)

    def url(self, key: str) -> httpx.URL:
        """Return the URL of an object."""
        base = httpx.URL(self.endpoint or AMAZON.format(region=self.region))
        path = quote(key, safe="/-_.~")
        host = base.netloc.decode("ascii")
        if self.path_style:
            return httpx.URL(f"{base.scheme}://{host}/{self.bucket}/{path}")
        return httpx.URL(f"{base.scheme}://{self.bucket}.{host}/{path}")


def record_key(tenant: str, bucket: str) -> str:
    """Return the key of the record of a tenant's bucket: no bucket has a slash in its name."""
    return f"{tenant}/{bucket}"


@dataclass(frozen=True)
class Destinations:
    """The destinations of all tenants, on whichever gateway. Errors: NotFound, FailedPrecondition (the secret by which
    credentials were sealed is another one now), Unavailable."""

    records: Records[Destination]
    sealer: Sealer

    def sealed(self, destination: Destination, key: AccessKey) -> Destination:
        """Return the destination with its credentials."""
        return replace(destination, sealed=self.sealer.seal(to_json(key._asdict()), destination.key))

    async def keep(self, destination: Destination) -> None:
        """Keep a destination, in place of one of the same bucket."""
        await self.records.put(destination.key, destination)

    async def get(self, tenant: str, bucket: str) -> Destination:
        """Return a destination."""
        found = await self.records.get(record_key(tenant, bucket))
        if found is None:
            text = f"There are no credentials for the bucket {bucket}; add them by POST /destinations."
            raise NotFound(text, reason="DESTINATION_NOT_FOUND")
        return found

    async def of(self, tenant: str) -> list[Destination]:
        """Return the destinations of a tenant, by the names of their buckets, as the store has them: no watch tells of
        those that another gateway deleted."""
        keys = sorted(key for key in await self.records.keys() if key.startswith(record_key(tenant, "")))
        found = [await self.records.get(key) for key in keys]
        return [one for one in found if one is not None]

    async def remove(self, tenant: str, bucket: str) -> None:
        """Forget a destination."""
        await self.get(tenant, bucket)
        await self.records.delete(record_key(tenant, bucket))

    def signed(
        self, destination: Destination, method: str, url: httpx.URL, headers: Mapping[str, str], sha256: str
    ) -> dict[str, str]:
        """Return the headers of a request that the bucket is to accept."""
        opened = from_json(dict[str, str], self.sealer.unseal(destination.sealed, destination.key))
        return signed(method, url, headers, sha256, AccessKey(**opened), destination.region, time.time())
