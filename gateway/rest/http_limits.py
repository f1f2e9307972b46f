"""uvicorn's HTTP/1.1 protocol with limits on what of a request is no body: its size and the time it may take."""

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.rest.protojson.encode import dumps
from gateway.rest.settings import HttpLimits
from gateway.rest.status import HttpError, from_error
from servicekit.errors import InvalidArgument


class LimitedProtocol(HttpToolsProtocol):
    """Answers a head over the limit with 431 and one that does not come in time with 408, both in JSON. Trailers, which
    nobody reads, are under the same limit; over it, and when a body does not end in time after its request was
    answered, the connection is closed."""

    def __init__(self, limits: HttpLimits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._is_in_head = True
        self._has_advanced = False
        self._framing_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._has_advanced = False
        if self._is_in_head and self._timer is None:
            self._expect_head()
        super().data_received(data)
        self._framing_bytes = 0 if self._has_advanced else self._framing_bytes + len(data)
        if self._framing_bytes > self._limits.head_bytes and not self.transport.is_closing():
            self._refuse(431, f"The head of the request is over {self._limits.head_bytes} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools, which calls it for trailers too."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._is_in_head, self._has_advanced = False, True
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._has_advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._is_in_head, self._has_advanced = True, True
        self._stop_timer()
        super().on_message_complete()
        if self.cycle.response_complete:  # uvicorn waits for the next request from the answer on, until anything comes
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """See uvicorn."""
        super().on_response_complete()
        if self.cycle.response_complete and not self._is_in_head:
            self._start_timer(self._limits.leftover_seconds, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        self._refuse(400, msg)

    def _expect_head(self) -> None:
        seconds = self._limits.head_seconds
        text = f"The head of the request did not come within {seconds:g} s."
        self._start_timer(seconds, self._refuse, 408, text)

    def _start_timer(self, seconds: float, then: Callable[..., None], *arguments: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then, *arguments)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, number: int, text: str) -> None:
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering or not self._is_in_head:  # an answer is on its way, or was given
            self.transport.close()
            return
        body = dumps(HttpError(from_error(InvalidArgument(text)).status, number).body())
        head = (
            f"{STATUS_LINE[number].decode()}content-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
