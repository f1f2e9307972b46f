"""The HTTP side: one Starlette application, served by uvicorn in the caller's event loop."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore, TransferSlots
from gateway.rest.files import SignedFiles
from gateway.rest.http_limits import HttpLimits, LimitedProtocol
from gateway.rest.middleware import ErrorBoundary
from gateway.rest.openapi.document import OpenApi
from gateway.rest.proxy import Proxy, RestSettings
from gateway.rest.routes import RouteTable
from gateway.rest.worker_links import WorkerInputs, WorkerLinks, WorkerResult
from servicekit.config import ConfigError

__all__ = ["HttpLimits", "HttpServer", "RestSettings", "build_app"]

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
EXPOSED = (
    *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Location", "Preference-Applied"),
    *("Retry-After", "X-Request-Id"),
)
LIMITS = HttpLimits()
# With less, uvicorn warns of open requests even where there are none.
MIN_DRAIN_SECONDS = 0.05
# Requests that the drain cancelled get so long to send their error.
LAST_RESPONSE_SECONDS = 1.0


def build_app(
    channel: grpc.aio.Channel,
    assets: AssetStore,
    links: LinkSigner,
    settings: RestSettings,
    transfers: TransferSlots,
    worker_links: WorkerLinks | None = None,
) -> Starlette:
    """Build the application.

    `channel` leads to the gateway's own gRPC. `transfers` counts downloads of signed files together with the transfers
    of gRPC. `worker_links` serves encoders behind a provider's queue.
    """
    table = RouteTable()
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_allow_origins),
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=EXPOSED,
        max_age=3600,
    )
    return Starlette(
        routes=[
            # Applications, not functions: they refuse wrong methods themselves, in JSON.
            Route("/files/{id}/{filename:path}", SignedFiles(assets, links, transfers, settings.stall_seconds)),
            *_worker_routes(worker_links, settings.stall_seconds),
            Route("/openapi.json", OpenApi(table, settings.public_url)),
            Mount("/", Proxy(channel, table, settings)),
        ],
        middleware=[cors, Middleware(ErrorBoundary)],
    )


def _worker_routes(links: WorkerLinks | None, stall_seconds: float) -> list[Route]:
    if links is None:
        return []
    return [
        Route("/tasks/{key}/{ticket}/inputs/{number:int}", WorkerInputs(links, stall_seconds)),
        Route("/tasks/{key}/{ticket}/result", WorkerResult(links)),
        Route("/tasks/{key}/{ticket}/files/{number:int}", WorkerResult(links)),
    ]


class HttpServer(uvicorn.Server):
    """Serves an ASGI application on one port: uvicorn without its signal handlers, and with an event for the start."""

    def __init__(self, app: ASGIApp, host: str, port: int, limits: HttpLimits = LIMITS) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=functools.partial(LimitedProtocol, limits),  # type: ignore[arg-type]  # any factory
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=limits.keep_alive_seconds,  # type: ignore[arg-type]
        )
        super().__init__(config)
        self._ready = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def start(self) -> int:
        """Start to serve and return the port. Raises ConfigError when it cannot be bound."""
        listener = _bind(self.config.host, self.config.port)
        self._serving = asyncio.create_task(self.serve([listener]))
        await self._ready.wait()
        return int(listener.getsockname()[1])

    @property
    def connections(self) -> list[Any]:
        """Return uvicorn's protocols of the open connections."""
        return list(self.server_state.connections)

    async def drain(self, seconds: float) -> None:
        """Refuse new connections, wait `seconds` for open requests, then respond 503 to the rest."""
        if self._serving is None:
            return
        self.config.timeout_graceful_shutdown = max(seconds, MIN_DRAIN_SECONDS)  # type: ignore[assignment]
        self.should_exit = True
        await self._serving
        tasks = set(self.server_state.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_RESPONSE_SECONDS)
        for connection in self.connections:
            connection.transport.abort()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's delay (40 ms a response) only on sockets whose protocol is TCP by number.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        text = f"PORT={port}: cannot listen on {host}:{port}; is the port taken? ({error.strerror})"
        raise ConfigError(text) from error
    return listener
