"""The standard health service, whose watches end before the server does."""

import asyncio

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from servicekit.interceptors import Context
from servicekit.tasks import cancel_and_wait

LAST_WORD_SECONDS = 0.1


class Health(aio.HealthServicer):
    """grpcio's own servicer. It leaves watches open at a shutdown, and `Server.stop` would wait for them as long as it
    waits for any call."""

    def __init__(self) -> None:
        super().__init__()
        self._watches: set[asyncio.Task[None]] = set()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Tell the status and its changes until `end_watches`. Ends UNAVAILABLE."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait([watch])
        finally:
            self._watches.discard(watch)
            await cancel_and_wait(watch)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")

    async def end_watches(self) -> None:
        """Say NOT_SERVING for good, and end every watch once it has told so."""
        await self.enter_graceful_shutdown()
        if self._watches:
            await asyncio.sleep(LAST_WORD_SECONDS)
            await cancel_and_wait(*self._watches)
