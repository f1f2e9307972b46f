"""Uploads: an HTTP body as a client stream of header, chunks and finish.

The request's oneof must have, beside the bytes field, the messages `header` (filename, size_bytes, sha256) and `finish`
(size_bytes). The method must send ACCEPTED once it has checked the header, and computes the digest itself.
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

from gateway.rest.request import RoutedRequest
from gateway.rest.transcode import set_parameters
from servicekit.chunks import ACCEPTED, rechunk
from servicekit.errors import InvalidArgument
from servicekit.tasks import cancel_and_wait

HEADER, FINISH = "header", "finish"
_DIGESTS = (
    ("content-digest", re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):", re.IGNORECASE)),
    ("repr-digest", re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):", re.IGNORECASE)),
    ("digest", re.compile(r"(?:^|,)\s*sha-256=([A-Za-z0-9+/=]+)", re.IGNORECASE)),
)

Call = grpc.aio.StreamUnaryCall[Any, Any]


def header_message(request: RoutedRequest) -> Message:
    """Return the first message, from path, query, Content-Length and digest headers. Raises InvalidArgument."""
    message = request.route.request_class()
    header = getattr(message, HEADER)
    header.SetInParent()
    if request.content_length is not None:
        header.size_bytes = request.content_length
    header.sha256 = announced_sha256(request.headers)
    set_parameters(message, request.route, request.variables, request.query, shorthand=HEADER)
    return message


def announced_sha256(headers: Headers) -> str:
    """Return the SHA-256 in Content-Digest, Repr-Digest or Digest, hexadecimal; "" without any.

    Raises InvalidArgument for a malformed one. Source: RFC 9530, RFC 3230.
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


async def upload(call: Call, request: RoutedRequest, header: Message) -> Message:
    """Send the body to the call and return its response. A body that breaks off cancels the call, without a finish.

    Raises what RoutedRequest.body raises, and AioRpcError as soon as the call fails.
    """
    sending = asyncio.create_task(_send(call, request, header))
    responding = asyncio.ensure_future(_response(call))
    try:
        await asyncio.wait({sending, responding}, return_when=asyncio.FIRST_COMPLETED)
        if not responding.done():
            sending.result()
        return await responding
    finally:
        call.cancel()
        await cancel_and_wait(sending, responding)


async def _response(call: Call) -> Message:
    response: Message = await call
    return response


async def _send(call: Call, request: RoutedRequest, header: Message) -> None:
    make, field, size_bytes = request.route.request_class, request.route.body, 0
    # A call that has ended refuses writes; its response has the cause.
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        await call.write(header)
        # A refusal is sent before the body is requested ("100 Continue").
        if ACCEPTED not in dict(await call.initial_metadata() or ()):
            return
        async for data in rechunk(request.body()):
            await call.write(make(**{field: data}))
            size_bytes += len(data)
        finish = make()
        getattr(finish, FINISH).size_bytes = size_bytes
        await call.write(finish)
        await call.done_writing()
