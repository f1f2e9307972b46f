"""uvicorn's HTTP/1.1 protocol with limits on the size and time of request heads, trailers and unread bodies.

It overrides private parts of uvicorn (data_received, on_*, `cycle`, `_unset_keepalive_if_required`): uvicorn limits
neither the size of a head nor the time that it may take, so a few slow connections could hold all its memory.
tests/unit/test_overridden.py holds these parts to the versions of uvicorn that were read.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.rest.protojson.encode import dumps
from gateway.rest.status import HttpError, from_error
from servicekit.errors import InvalidArgument


@dataclass(frozen=True)
class HttpLimits:
    """Limits of a connection: bytes and seconds of a request's head, seconds in which the rest of a body is read and
    dropped after the response, and idle seconds between requests."""

    head_bytes: int = 64 * 1024
    head_seconds: float = 30.0
    leftover_seconds: float = 30.0
    keep_alive_seconds: float = 65.0


class LimitedProtocol(HttpToolsProtocol):
    """Respond 431 to a head over the limit and 408 to one that is late, both in JSON.

    Trailers, which nobody reads, have the same limit. Over it, and when a body does not end in time after the response,
    the connection is closed.
    """

    def __init__(self, limits: HttpLimits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._is_in_head = True
        self._has_advanced = False
        self._framing_bytes = 0
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
        if self._framing_bytes > self._limits.head_bytes and not self.transport.is_closing():
            self._refuse(431, f"The head of the request is over {self._limits.head_bytes} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_head:  # httptools calls it for trailers too
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head, self._has_advanced = False, True
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._has_advanced = True
        super().on_body(body)

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
        """Respond to malformed HTTP, and close."""
        self._refuse(400, msg)

    def _start_head_timer(self) -> None:
        seconds = self._limits.head_seconds
        text = f"The head of the request did not come within {seconds:g} s."
        self._start_timer(seconds, self._refuse, 408, text)

    def _start_timer(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, callback, *arguments)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, number: int, text: str) -> None:
        is_responding = self.cycle is not None and not self.cycle.response_complete
        if is_responding or not self._is_in_head:  # a response was started or is complete
            self.transport.close()
            return
        body = dumps(HttpError(from_error(InvalidArgument(text)).status, number).body())
        head = (
            f"{STATUS_LINE[number].decode()}content-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
