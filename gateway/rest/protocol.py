"""uvicorn's HTTP/1.1 protocol with limits on the head of a request: its size and the time it may take."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.rest.encode import dumps
from gateway.rest.status import Failure, from_error
from rpc.errors import InvalidArgument

MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 30.0


class LimitedProtocol(HttpToolsProtocol):
    """Answers a head over the limit with 431 and one that does not come in time with 408, both in JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._has_passed_head = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

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
        began_in_head, self._has_passed_head = self._is_in_head, False
        if began_in_head and self._head_timer is None:
            self._expect_head()
        super().data_received(data)
        is_head_alone = began_in_head and not self._has_passed_head
        self._head_bytes = self._head_bytes + len(data) if is_head_alone else 0
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"The head of the request is over {MAX_HEAD_BYTES} bytes.")

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._is_in_head, self._has_passed_head = False, True
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """See httptools."""
        self._is_in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close."""
        self._refuse(400, msg)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(
            HEAD_SECONDS, self._refuse, 408, f"The head of the request did not come within {HEAD_SECONDS:g} s."
        )

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, number: int, text: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # an answer to an earlier request is on its way
            self.transport.close()
            return
        body = dumps(Failure(from_error(InvalidArgument(text)).status, number).body())
        head = (
            f"{STATUS_LINE[number].decode()}content-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
