"""The outermost ASGI middleware: request id, errors as JSON, security headers, access log.

It alone turns exceptions into responses. Text of an exception that is not a ServiceError never reaches a client.
"""

import asyncio
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import grpc
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.rest import headers as http_headers
from gateway.rest.connections import ABORT
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import ClientGone, end_response, send_body, start_response
from gateway.rest.status import HttpError, from_call, from_error
from servicekit import log_context, tracing
from servicekit.echo import brief
from servicekit.errors import Internal, ServiceError, Unavailable

log = structlog.get_logger("gateway.rest")

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
# Every response of these says when to call again: errors do themselves, by their RetryInfo.
RETRYABLE, RETRY_AFTER_SECONDS = (429, 503), "5"
# In the state of a scope: headers for its response, also for that of an error.
HEADERS = "response_headers"
# Paths of probes, logged at debug level only, as are workers that poll whether their task is still needed.
QUIET = ("/health",)
# After a failed request the rest of its body is read and dropped, for so long and so much of it: closing at once would
# reset the connection, and many clients would lose the response.
LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 1024 * 1024
STOPPING = "The service is stopping. A job that was accepted goes on; find it with GET /jobs."
UNEXPECTED = "Something went wrong inside the service; its log has more under request id {}."


@dataclass(frozen=True)
class ErrorBoundary:
    """Middleware around an application that may raise ServiceError, AioRpcError and ClientGone."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; respond to its errors."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        with log_context.about(request_id=exchange.request_id), exchange.traced() as note:
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except ClientGone:
                exchange.status = 499
            except asyncio.CancelledError:  # the server stops
                await exchange.fail(from_error(Unavailable(STOPPING, reason="SHUTTING_DOWN")))
            except (ServiceError, grpc.aio.AioRpcError) as error:
                await exchange.fail(_http_error(error))
            except Exception:
                log.exception("unexpected error")
                await exchange.fail(from_error(Internal(UNEXPECTED.format(exchange.request_id), reason="UNEXPECTED")))
            finally:
                exchange.break_off()
                exchange.log()
                note(status=exchange.status)


def _http_error(error: ServiceError | grpc.aio.AioRpcError) -> HttpError:
    if isinstance(error, ServiceError):
        return from_error(error)
    initial: Any = error.initial_metadata() or ()
    trailing: Any = error.trailing_metadata() or ()
    failed = from_call(error, http_headers.http_override(initial, trailing))
    return replace(failed, headers=(*failed.headers, *http_headers.response_headers(initial, trailing)))


class Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        headers = Headers(scope=scope)
        self.request_id = http_headers.request_id(headers)
        scope.setdefault("state", {})["request_id"] = self.request_id
        self.status = 0
        self._is_complete = False
        self._started = time.monotonic()
        self._body_is_open = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    def traced(self) -> AbstractContextManager[tracing.Note]:
        """Have the request be a span, which is named by its method alone, as there are paths without number."""
        path, method = self._scope["path"], self._scope["method"]
        if path in QUIET:
            return tracing.nothing()
        given = Headers(scope=self._scope).get(tracing.HEADER, "")
        return tracing.border(f"HTTP {method}", given, method=method, path=brief(path))

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_is_open = False
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the response, with the headers that every response has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            for name, value in {**self._scope["state"].get(HEADERS, {}), **SECURITY_HEADERS}.items():
                headers.setdefault(name, value)
            if self.status in RETRYABLE:
                headers.setdefault("retry-after", RETRY_AFTER_SECONDS)
        elif not message.get("more_body", False):
            self._is_complete = True
        await self._send(message)

    def break_off(self) -> None:
        """End the connection if the response is not whole: what is left of it would wait for a client that is slow."""
        extension = self._scope.get("extensions", {}).get(ABORT)
        if extension and self.status and not self._is_complete:
            extension["abort"]()

    async def fail(self, error: HttpError) -> None:
        """Respond with the error; a response that has started is broken off instead."""
        if self.status:
            return
        body = dumps(error.body())
        headers = [*error.headers, ("content-type", "application/json"), ("content-length", str(len(body)))]
        if self._body_is_open:
            headers.append(("connection", "close"))
        await start_response(self.send, error.http_status, headers)
        await send_body(self.send, body)
        await self._linger()
        await end_response(self.send)

    async def _linger(self) -> None:
        size_bytes = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self._body_is_open and size_bytes < LINGER_BYTES:
                    size_bytes += len((await self.receive()).get("body", b""))
        except TimeoutError:
            log.debug("client kept sending after its request failed")

    def log(self) -> None:
        """Write the access log, without the query, which may hold the signature of a link."""
        elapsed = round((time.monotonic() - self._started) * 1000, 1)
        path, method = self._scope["path"], self._scope["method"]
        write = log.debug if path in QUIET or (method == "HEAD" and path.startswith("/tasks/")) else log.info
        write("request", method=method, path=brief(path), status=self.status, milliseconds=elapsed)
