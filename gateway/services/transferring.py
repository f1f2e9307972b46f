"""Messages of uploads and downloads: how long a client may be silent, or take nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from google.protobuf.message import Message

from servicekit.chunk_messages import Outgoing
from servicekit.errors import DeadlineExceeded, Unavailable
from servicekit.interceptors import Context

# A silent upload loses its transfer slot after so long.
IDLE_SECONDS = 120.0
# A download whose client stalls loses its slot after so long.
STALL_SECONDS = 120.0

M = TypeVar("M")


async def while_sending(requests: AsyncIterator[M], idle_seconds: float, what_to_do: str) -> AsyncIterator[M]:
    """Yield the messages of an upload. Raises DeadlineExceeded for a silent one."""
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                request = await anext(requests, None)
        except TimeoutError as error:
            text = f"Nothing of the upload came for {idle_seconds:g} s; {what_to_do}"
            raise DeadlineExceeded(text, reason="UPLOAD_IDLE") from error
        if request is None:
            return
        yield request
        del request  # while the next one is awaited


async def send(context: Context, response: Message | Outgoing[Any], stall_seconds: float, offset_field: str) -> None:
    """Send a message of a download. Raises Unavailable if the client stalls; it may resume from its offset."""
    try:
        async with asyncio.timeout(stall_seconds):
            await context.write(response)
    except TimeoutError as error:
        text = f"Nothing of the download was taken for {stall_seconds:g} s; go on from `{offset_field}`."
        raise Unavailable(text, reason="DOWNLOAD_STALLED") from error
