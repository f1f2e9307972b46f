"""Keys of tenants, and calls with them of every method by the descriptors, over gRPC."""

from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from gateway.app import Gateway
from gateway.callers import COMMON_SCOPES
from gateway.keys.ring import NewKey
from servicekit.errors import DETAILS_KEY
from servicekit.tls import Identity


async def key_of(gateway: Gateway, tenant: str, scopes=COMMON_SCOPES, **wanted) -> str:
    """Make a key, and return its text."""
    _, text = await gateway.components.ring.create(NewKey(tenant, "a test", tuple(sorted(scopes)), **wanted))
    return text


def channel_to(gateway: Gateway, certificates: Path) -> grpc.aio.Channel:
    identity = Identity.read(certificates / "client.crt", certificates / "client.key", certificates / "ca.crt")
    target = f"localhost:{gateway.components.settings.grpc_port}"
    return grpc.aio.secure_channel(target, identity.channel_credentials())


@dataclass(frozen=True)
class Answered:
    """What a call came to: its code and text, its google.rpc details, and its messages."""

    code: grpc.StatusCode
    text: str = ""
    details: bytes = b""
    messages: tuple[Message, ...] = ()


async def call(channel: grpc.aio.Channel, method: MethodDescriptor, key: str, *requests: Message) -> Answered:
    """Call a method of any of the four kinds; of a stream of answers the first is enough."""
    kinds = ("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))
    make = getattr(channel, "_".join(kinds))
    answer_class = message_factory.GetMessageClass(method.output_type)
    path = f"/{method.containing_service.full_name}/{method.name}"
    callable_ = make(path, lambda message: message.SerializeToString(), answer_class.FromString)
    given = iter(requests) if method.client_streaming else requests[0]
    calling = callable_(given, metadata=(("x-api-key", key),), timeout=60)
    try:
        if method.server_streaming:
            first = await calling.read()
            calling.cancel()
            return Answered(grpc.StatusCode.OK, messages=() if first is grpc.aio.EOF else (first,))
        return Answered(grpc.StatusCode.OK, messages=(await calling,))
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        return Answered(error.code(), error.details() or "", bytes(trailing.get(DETAILS_KEY, b"")))
