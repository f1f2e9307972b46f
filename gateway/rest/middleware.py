"""The outermost layer of the HTTP side: request id, errors as JSON, security headers, access log.

It alone turns exceptions into responses. Text of an exception that is not a ServiceError never reaches a client.
"""

import asyncio
import time
from typing import Any

import grpc
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.rest import headers as http_headers
from gateway.rest.protojson.encode import dumps
from gateway.rest.request import ClientGone
from gateway.rest.status import HttpError, from_call, from_error
from servicekit.errors import Internal, ServiceError, Unavailable

log = structlog.get_logger("http")

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
# Paths of probes, which come all the time; workers that ask whether their task is still wanted do too.
QUIET = ("/health",)
# So long what a client still sends is read and dropped after its request failed: closing at once would reset the
# connection, and many clients then lose the answer.
LINGER_SECONDS = 5.0


def request_id_of(scope: Scope) -> str:
    """The id that the boundary gave the request."""
    return str(scope["state"]["request_id"])


class ErrorBoundary:
    """Middleware; `app` may raise ServiceError, AioRpcError and ClientGone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except ClientGone:
                exchange.status = 499
            except asyncio.CancelledError:  # the server stops; the task ends here in any case
                await exchange.fail(from_error(Unavailable(STOPPING)))
            except (ServiceError, grpc.aio.AioRpcError) as error:
                await exchange.fail(_failure(error))
            except Exception:
                log.exception("unexpected error")
                await exchange.fail(from_error(Internal(UNEXPECTED.format(exchange.request_id))))
            finally:
                exchange.log()


STOPPING = "The service is stopping. A job that was accepted goes on; find it with GET /jobs."
UNEXPECTED = "Something went wrong inside the service; its log has more under request id {}."


def _failure(error: ServiceError | grpc.aio.AioRpcError) -> HttpError:
    if isinstance(error, ServiceError):
        return from_error(error)
    initial: Any = error.initial_metadata() or ()
    trailing: Any = error.trailing_metadata() or ()
    failure = from_call(error, http_headers.http_override(initial, trailing))
    more = http_headers.response_headers(initial, trailing)
    return HttpError(failure.status, failure.http_status, (*failure.headers, *more))


class Exchange:
    """One request and its response, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        headers = Headers(scope=scope)
        self.request_id = http_headers.request_id(headers)
        scope.setdefault("state", {})["request_id"] = self.request_id
        self.status = 0
        self._started = time.monotonic()
        self._body_is_open = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    async def receive(self) -> Message:
        """See ASGI."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._body_is_open = False
        return message

    async def send(self, message: Message) -> None:
        """See ASGI; adds the headers that every response has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def fail(self, failure: HttpError) -> None:
        """Answer with the error; a response that has begun is broken off instead."""
        if self.status:
            return
        body = dumps(failure.body())
        headers = [*failure.headers, ("content-type", "application/json"), ("content-length", str(len(body)))]
        if self._body_is_open:
            headers.append(("connection", "close"))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self.send({"type": "http.response.start", "status": failure.http_status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        await self._linger()
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while self._body_is_open:
                    await self.receive()
        except TimeoutError:
            log.debug("the client still sends after its request failed")

    def log(self) -> None:
        """One line of access log; never the query, which may hold the signature of a link."""
        elapsed = round((time.monotonic() - self._started) * 1000, 1)
        path, method = self._scope["path"], self._scope["method"]
        write = log.debug if path in QUIET or (method == "HEAD" and path.startswith("/tasks/")) else log.info
        write("request", method=method, path=path, status=self.status, milliseconds=elapsed)
