"""The HTTP side: one Starlette application, served by uvicorn in the caller's event loop.

LimitedProtocol limits the size and time of request heads, trailers and unread bodies. It overrides private parts of
uvicorn (data_received, on_*, `cycle`, `_unset_keepalive_if_required`): uvicorn limits neither the size of a head nor
the time that it may take, so a few slow connections could hold all its memory. tests/unit/test_overridden.py holds
these parts to the versions of uvicorn that were read.
"""

import asyncio
import functools
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.routing import Match, Mount, Route
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway import console
from gateway.assets.direct import DirectLinks
from gateway.assets.links import LinkSigner
from gateway.assets.store import AssetStore
from gateway.assets.transfers import TransferSlots
from gateway.auth import ApiKeys
from gateway.jobs.store import JobStore
from gateway.rest import previews
from gateway.rest.bodies import Bodies
from gateway.rest.connections import FairProtocol
from gateway.rest.docs import site
from gateway.rest.files import SignedFiles
from gateway.rest.heads import HeadMeter
from gateway.rest.middleware import ErrorBoundary
from gateway.rest.openapi.document import OpenApi
from gateway.rest.pages import FrontPage, Pages
from gateway.rest.previews import SignedPreviews
from gateway.rest.protojson.encode import dumps
from gateway.rest.proxy import Proxy, RestSettings
from gateway.rest.responses import JSON
from gateway.rest.routes import RouteTable
from gateway.rest.status import HttpError, MalformedHttp, RequestTimeout, from_error
from gateway.rest.tus import EXPOSED as EXPOSED_BY_TUS
from gateway.rest.tus import PATHS as UPLOAD_PATHS
from gateway.rest.tus import TusUploads
from gateway.rest.worker_links import WorkerInputs, WorkerLinks, WorkerResult
from servicekit.concurrency import ConcurrencyLimit
from servicekit.connections import max_connections
from servicekit.errors import InvalidArgument, ResourceExhausted, ServiceError
from servicekit.http import InnerServer, listen
from servicekit.local import LocalChannel
from servicekit.server import PORTS

__all__ = ["HttpLimits", "HttpServer", "RestSettings", "build_app"]

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
EXPOSED = (
    *("Accept-Ranges", "Content-Disposition", "Content-Range", "ETag", "Location", "Preference-Applied"),
    *("Retry-After", "X-Request-Id"),
    *EXPOSED_BY_TUS,
)
# So many connections are accepted at a time before their slots are looked at.
BACKLOG = 128
# Of uvicorn's ticks, ten a second.
CLOSING_TICKS = 300
# With less, uvicorn warns of open requests even where there are none.
MIN_DRAIN_SECONDS = 0.05
# Requests that the drain cancelled get so long to send their error.
LAST_RESPONSE_SECONDS = 1.0


@dataclass(frozen=True)
class HttpLimits:
    """Limits of a connection: bytes and seconds of a request's head, bytes and seconds for which the rest of a body is
    read and dropped after the response, and idle seconds between requests. And how many connections; 0: as
    descriptors allow."""

    head_bytes: int = 64 * 1024
    head_seconds: float = 30.0
    leftover_bytes: int = 64 * 1024 * 1024
    leftover_seconds: float = 30.0
    keep_alive_seconds: float = 65.0
    connections: int = 0


LIMITS = HttpLimits()


def build_app(
    channel: grpc.aio.Channel | LocalChannel,
    keys: ApiKeys,
    assets: AssetStore,
    links: LinkSigner,
    settings: RestSettings,
    transfers: TransferSlots,
    worker_links: WorkerLinks | None = None,
    direct: DirectLinks | None = None,
    jobs: JobStore | None = None,
) -> Starlette:
    """Build the application.

    `channel` leads to the gateway's own gRPC, whose `keys` are judged here first. `transfers` counts downloads by
    signed links. `worker_links` serves encoders behind a provider's queue; `direct` leads
    downloads past the gateway. The films of `jobs` play while they are made.
    """
    table = RouteTable()
    openapi = OpenApi(table, settings.public_url)
    proxy = Proxy(channel, keys, table, settings, Bodies(settings.max_body_bytes))
    pages = Pages.load(console.FOLDER)
    cors = Middleware(
        Cors,
        allow_origins=list(settings.cors_allow_origins),
        allow_methods=METHODS,
        allow_headers=["*"],
        expose_headers=EXPOSED,
        max_age=3600,
    )
    return Starlette(
        routes=[
            # Applications, not functions: they refuse wrong methods themselves, in JSON.
            Route("/files/{id}/{filename:path}", SignedFiles(assets, links, transfers, settings.stall_seconds, direct)),
            *_worker_routes(worker_links, settings.stall_seconds),
            *(Route(path, SignedPreviews(jobs, links)) for path in (previews.MASTER, previews.TRACK) if jobs),
            *(Route(path, openapi) for path in ("/openapi.json", "/openapi.json/")),
            *site.routes(openapi.document, proxy.base_url),
            *(Route(path, TusUploads(proxy, assets)) for path in UPLOAD_PATHS),
            Route("/console/{path:path}", pages),
            Route("/", FrontPage(pages, proxy)),
            AnyPath("/", proxy),
        ],
        middleware=[cors, Middleware(ErrorBoundary)],
    )


class Cors(CORSMiddleware):
    """Starlette's, with refusals of preflights in JSON."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        allowed = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        text = f"{bytes(response.body).decode()}; CORS_ALLOW_ORIGINS says which pages may call."
        failed = from_error(InvalidArgument(text, reason="CORS_REFUSED"))
        return Response(dumps(failed.body()), failed.http_status, allowed, JSON)


class AnyPath(Mount):
    """A mount of all paths: Starlette's own leaves those with a line break in them to a 404 that is no JSON."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return Match.FULL, {"endpoint": self.app}


def _worker_routes(links: WorkerLinks | None, stall_seconds: float) -> list[Route]:
    if links is None:
        return []
    return [
        Route("/tasks/{key}/{ticket}/inputs/{number:index}", WorkerInputs(links, stall_seconds)),
        Route("/tasks/{key}/{ticket}/result", WorkerResult(links)),
        Route("/tasks/{key}/{ticket}/files/{number:index}", WorkerResult(links)),
    ]


class IndexConvertor(Convertor[int]):
    """Path parameters that are places in a list: a number of a few digits, unlike Starlette's `int`."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("index", IndexConvertor())


class LimitedProtocol(FairProtocol):
    """Respond 431 to a head over the limits, 408 to one that is late and 400 to a malformed one, all in JSON.

    Trailers, which nobody reads, have the same limit. Over it, and when a body does not end in time after the response,
    the connection is closed.
    """

    def __init__(self, limits: HttpLimits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._is_in_head = True
        self._has_advanced = False
        self._framing_bytes = 0
        self._leftover_bytes = 0
        self._head = HeadMeter(limits.head_bytes)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_advanced = False
        if self._is_in_head and self._timer is None:
            self._start_head_timer()
        super().data_received(data)
        self._framing_bytes = 0 if self._has_advanced else self._framing_bytes + len(data)
        # The parser holds back a header until it is whole.
        if self._framing_bytes > self._limits.head_bytes and not self.transport.is_closing():
            self._refuse(self._head.too_large)

    def on_message_begin(self) -> None:
        self._head, self._leftover_bytes = HeadMeter(self._limits.head_bytes), 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._head.add_target(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.add_header(name, value)
        if self._is_in_head:  # httptools calls it for trailers too
            super().on_header(name, value.strip(b" \t"))  # which are around it, not of it (RFC 9110, section 5.5)

    def on_headers_complete(self) -> None:
        self._head.check(self.parser.get_http_version(), self.headers, len(self.pipeline))
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().on_headers_complete()  # raises for a target that is no path
        self._is_in_head, self._has_advanced = False, True

    def on_body(self, body: bytes) -> None:
        self._has_advanced = True
        super().on_body(body)
        if self.cycle.response_complete:
            self._leftover_bytes += len(body)
            if self._leftover_bytes > self._limits.leftover_bytes:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._is_in_head, self._has_advanced = True, True
        self._stop_timer()
        super().on_message_complete()
        if self.cycle.response_complete:  # uvicorn starts this at the response, and stops it at any data
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self._is_in_head:
            self._start_timer(self._limits.leftover_seconds, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Respond to malformed HTTP, and to a head that was refused, and close."""
        self._refuse(self._head.fault or MalformedHttp(msg))

    def _start_head_timer(self) -> None:
        seconds = self._limits.head_seconds
        late = RequestTimeout(f"The head of the request did not come within {seconds:g} s.")
        self._start_timer(seconds, self._refuse, late)

    def _start_timer(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, callback, *arguments)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: ServiceError) -> None:
        """Respond with the error and close; only close where another response is due, begun or complete."""
        is_unanswered = self.cycle is not None and not self.cycle.response_complete
        if self._is_in_head == is_unanswered or (is_unanswered and (self.cycle.response_started or self.pipeline)):
            self.transport.close()
            return
        if is_unanswered:  # the application is told that its client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._end_with(from_error(error))

    def refuse_connection(self, error: ResourceExhausted) -> None:
        """Respond 503 to a connection too many."""
        self._end_with(replace(from_error(error), http_status=503))

    def _end_with(self, error: HttpError) -> None:
        body = dumps(error.body())
        lines = (("content-type", "application/json"), ("content-length", len(body)), ("connection", "close"))
        head = "".join(f"{name}: {value}\r\n" for name, value in (*lines, *error.headers))
        self.transport.write(STATUS_LINE[error.http_status] + head.encode() + b"\r\n" + body)
        self.transport.close()


class HttpServer(InnerServer):
    """Serves an ASGI application on one port: uvicorn without its signal handlers, and with an event for the start."""

    def __init__(self, app: ASGIApp, host: str, port: int, limits: HttpLimits = LIMITS) -> None:
        connection_limit = ConcurrencyLimit(limits.connections or max_connections(PORTS), "connections")
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=functools.partial(LimitedProtocol, limits, connection_limit),  # type: ignore[arg-type]  # any factory
            backlog=BACKLOG,
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
        self._closing: dict[LimitedProtocol, int] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % CLOSING_TICKS == 0:
            self._end_closing()
        return await super().on_tick(counter)

    def _end_closing(self) -> None:
        """End connections that should close, and whose client has taken nothing of the rest since the last time."""
        closing = {it: it.transport.get_write_buffer_size() for it in self.connections if it.transport.is_closing()}
        for connection, left_bytes in closing.items():
            if self._closing.get(connection) == left_bytes:
                connection.transport.abort()
        self._closing = closing

    async def start(self) -> int:
        """Start to serve and return the port. Raises ConfigError when it cannot be bound."""
        listener = listen(self.config.host, self.config.port, "PORT")
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
