"""Metrics of a process for Prometheus: its gRPC calls, by the names that the field has for them, and the port that they
are read at. What a service counts beside, it counts in the registry of the library itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog
import uvicorn
from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    make_asgi_app,
)
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from servicekit.config import ConfigError
from servicekit.http import InnerServer, listen

log = structlog.get_logger("servicekit.metrics")

PATH = "/metrics"
CODECS = ("nvenc", "x264", "copy")
# Scrapers at once; the port is for those of one's own.
MAX_CONNECTIONS = 32
KEEP_ALIVE_SECONDS = 30
SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0)

# When each was first counted, which nobody asks for, would be as many lines again.
disable_created_metrics()  # type: ignore[no-untyped-call]

CALLS = Counter(
    "grpc_server_handled", "Calls that ended, by their status.", ("grpc_service", "grpc_method", "grpc_code")
)
CALL_SECONDS = Histogram(
    "grpc_server_handling_seconds", "Seconds of calls.", ("grpc_service", "grpc_method"), buckets=SECONDS
)


def count_call(method: str, code: str, seconds: float) -> None:
    """Count a call of a method ("/apigpu.v1.JobService/GetJob") that there is."""
    service, _, name = method.lstrip("/").partition("/")
    CALLS.labels(service, name, code).inc()
    CALL_SECONDS.labels(service, name).observe(seconds)


def codec_label(codec: str) -> str:
    """Return the label of a codec: what an encoder names that is not known is one, so that there are few."""
    return codec if codec in CODECS else "other" if codec else "none"


@contextlib.asynccontextmanager
async def exported(host: str, given: int | None, default: int, *state: Collector) -> AsyncIterator[None]:
    """Serve what is counted, and the `state` of a service, at the port that is `given` (0: nowhere), else at the
    `default` one, until the block is left.

    Raises ConfigError for a given port that is taken. The default one may be: two services of a machine can have the
    same, and go on without.
    """
    try:
        listener = listen(host, default if given is None else given, "METRICS_PORT") if given != 0 else None
    except ConfigError as error:
        if given is not None:
            raise
        log.warning("metrics are not served", error=str(error))
        listener = None
    if listener is None:
        yield
        return
    server = InnerServer(
        uvicorn.Config(
            Starlette(routes=[Route(PATH, MetricsPage(_registry(state)))]),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class MetricsPage:
    """The page itself, as an application: mounted, it would be one below its path, and the path a redirect to it, which
    curl does not follow."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._app: ASGIApp = make_asgi_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _registry(state: Sequence[Collector]) -> CollectorRegistry:
    """Return what is counted in this process with the state of one of its services: there may be several."""
    registry = CollectorRegistry()
    for each in (REGISTRY, *state):
        registry.register(each)
    return registry
