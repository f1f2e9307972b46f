"""Own encoders: those that ENCODERS names, each by its address or many by one name."""

import asyncio
from collections.abc import Sequence

import grpc

from gateway.workers.discovery import DnsDiscovery, EncoderName
from gateway.workers.grpc import GrpcEncoder
from gateway.workers.pool import Pool
from servicekit.tasks import cancel_and_wait


class StaticEncoders:
    """Gives the pool its seats for own encoders, until `close`. Raises ValueError for a name that is none."""

    def __init__(
        self, given: Sequence[str], pool: Pool, credentials: grpc.ChannelCredentials, session_token: str
    ) -> None:
        self._pool = pool
        self._credentials = credentials
        self._token = session_token
        names = [(text, EncoderName.parse(text)) for text in given]
        for address in [text for text, name in names if name is None]:
            self._add(address)
        self._following = [asyncio.create_task(self._follower(name).follow()) for _, name in names if name is not None]

    async def close(self) -> None:
        """Follow names no longer."""
        await cancel_and_wait(*self._following)

    def _follower(self, name: EncoderName) -> DnsDiscovery:
        return DnsDiscovery(name, lambda address: self._add(address, name.tls_name), self._pool.remove)

    def _add(self, address: str, tls_name: str = "") -> None:
        if address not in self._pool:
            self._pool.add(GrpcEncoder(address, self._credentials, self._token, tls_name))
