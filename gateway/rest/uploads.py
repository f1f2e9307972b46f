"""Files on their way in: the HTTP body as a client stream of header, chunks and finish.

The request's oneof must have, beside the bytes field, the messages `header` (filename, size_bytes, sha256) and
`finish` (size_bytes, sha256). The method must send ACCEPTED once it has checked the header.
"""

import asyncio
import base64
import binascii
import contextlib
import re
from typing import Any

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers

from gateway.rest.request import RequestBody
from gateway.rest.transcode import set_parameters
from servicekit.chunks import ACCEPTED, Checksum, rechunk
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

HEADER, FINISH = "header", "finish"
_DIGESTS = (
    ("content-digest", re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):", re.IGNORECASE)),
    ("repr-digest", re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):", re.IGNORECASE)),
    ("digest", re.compile(r"(?:^|,)\s*sha-256=([A-Za-z0-9+/=]+)", re.IGNORECASE)),
)

Call = grpc.aio.StreamUnaryCall[Any, Any]


def header_message(inbound: RequestBody) -> Message:
    """The first message: what path, query, Content-Length and digests tell of the file. Raises InvalidArgument."""
    message = inbound.route.request_class()
    header = getattr(message, HEADER)
    header.SetInParent()
    if inbound.content_length is not None:
        header.size_bytes = inbound.content_length
    header.sha256 = digest(inbound.headers)
    set_parameters(message, inbound.route, inbound.variables, inbound.query, shorthand=HEADER)
    return message


def digest(headers: Headers) -> str:
    """The SHA-256 that Content-Digest, Repr-Digest or Digest announces, hexadecimal; "" when none does.

    Raises InvalidArgument for one that cannot be read. Source: RFC 9530, RFC 3230.
    """
    for name, pattern in _DIGESTS:
        found = pattern.search(headers.get(name, ""))
        if not found:
            continue
        try:
            value = base64.b64decode(found[1], validate=True)
        except binascii.Error:
            value = b""
        if len(value) != 32:
            raise InvalidArgument(f"The sha-256 in {name} is not 32 bytes in base64.", fields={name: "bad digest"})
        return value.hex()
    return ""


async def upload(call: Call, inbound: RequestBody, header: Message) -> Message:
    """Send the body to the call; the call's answer. A body that breaks off cancels the call and is never finished.

    Raises what Inbound.body raises, and AioRpcError as soon as the call fails.
    """
    feeding = asyncio.create_task(_feed(call, inbound, header))
    answering = asyncio.ensure_future(_answer(call))
    try:
        await asyncio.wait({feeding, answering}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            feeding.result()
        return await answering
    finally:
        call.cancel()
        await cancel_and_wait(feeding, answering)


async def _answer(call: Call) -> Message:
    response: Message = await call
    return response


async def _feed(call: Call, inbound: RequestBody, header: Message) -> None:
    make, field, tally = inbound.route.request_class, inbound.route.body, Checksum()
    loop = asyncio.get_running_loop()
    # A call that is over refuses writes; its answer tells why.
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        await call.write(header)
        # A refusal is told before the body is asked for ("100 Continue").
        if ACCEPTED not in dict(await call.initial_metadata() or ()):
            return
        async for data in rechunk(inbound.body()):
            digesting = loop.run_in_executor(None, tally.add, data)
            await call.write(make(**{field: data}))
            await digesting
        finish = make()
        getattr(finish, FINISH).size_bytes = tally.size_bytes
        getattr(finish, FINISH).sha256 = tally.sha256
        await call.write(finish)
        await call.done_writing()
