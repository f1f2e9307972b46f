"""HTTP connections under a limit: shared out among addresses, idle and stalled ones closed for new ones.

FairProtocol overrides private parts of uvicorn, as LimitedProtocol does.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from servicekit.addresses import client_network, parse_address
from servicekit.concurrency import ConcurrencyLimit, Slot
from servicekit.errors import ResourceExhausted

# A client that stalls in the middle of a request or of a response keeps its connection for so long at least.
STALL_SECONDS = 10.0

# Our extension of ASGI: a function that ends the connection without sending what is left of a response.
ABORT = "apigpu.abort"


class FairProtocol(HttpToolsProtocol):
    """Holds a slot for each connection, idle between requests, and while its client owes a body or reads nothing."""

    def __init__(self, connection_limit: ConcurrencyLimit, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connection_limit = connection_limit
        self._slot: Slot | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = parse_address(self.client[0]) if self.client else None
        try:
            self._slot = self._connection_limit.take(client_network(address), self._give_way)
            self._slot.wait()
        except ResourceExhausted as error:
            self.refuse_connection(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._slot is not None:
            self._connection_limit.release(self._slot)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._note_turn()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_turn()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._note_turn()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._note_turn()

    def refuse_connection(self, error: ResourceExhausted) -> None:
        """End a connection for which there is no slot."""
        self.transport.abort()

    def _give_way(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.transport.abort()

    def _note_turn(self) -> None:
        if self._slot is None:
            return
        if self.cycle is None or self.cycle.response_complete:
            self._slot.wait()
        elif self.flow.write_paused or (self.cycle.more_body and not self.flow.read_paused):
            self._slot.wait(STALL_SECONDS)
        else:
            self._slot.work()
