"""Messages that carry bytes of files, without the copies that message objects make of these: one to read a field, one
more to write it, and some while it is encoded. On the wire they are what they are.

Source of the wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from servicekit.chunks import Data

M = TypeVar("M", bound=Message)

# Of less than this the copies cost less than this file.
LEAST_BYTES = 4096
# A message with more fields is left to protobuf, which is faster.
MAX_FIELDS = 16
MAX_VARINT_BYTES = 10
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
# Attribute of a handler: what makes of the bytes of a request what it takes.
_READ = "read_request"


class Received(NamedTuple, Generic[M]):
    """A message that came, without the bytes of the file, and these."""

    message: M
    data: Data


@dataclass(frozen=True, slots=True)
class Outgoing(Generic[M]):
    """A message that is to be sent: a message of this kind, and the bytes of its file."""

    kind: "ChunkMessage[M]"
    message: M
    data: Data

    def encode(self) -> bytes:
        """Return the message as it is sent."""
        return self.kind.encode(self.message, self.data)


class ChunkMessage(Generic[M]):
    """A type of message, and the field in it that carries bytes of files."""

    def __init__(self, message_type: type[M], *path: str) -> None:
        """Name the field, by way of the messages that it is in."""
        self.message_type = message_type
        self._path = path
        self._tags: list[int] = []
        descriptor: Any = message_type.DESCRIPTOR
        for name in path:
            field = descriptor.fields_by_name[name]
            self._tags.append(field.number << 3 | LENGTH)
            descriptor = field.message_type

    def read(self, received: "bytes | M | Outgoing[M]") -> Received[M]:
        """Take a message apart, as it came or, within one process, as it was sent. Raises DecodeError."""
        if isinstance(received, Outgoing):
            message, data = received.message, received.data
            setattr(self._holder(message), self._path[-1], b"")  # it is the one of its `oneof`
            return Received(message, data)
        if isinstance(received, bytes):
            found = _cut(memoryview(received), self._tags) if len(received) >= LEAST_BYTES else None
            if found is not None:
                rest, view = found
                return Received(self.message_type.FromString(rest), view)
            received = self.message_type.FromString(received)
        return Received(received, getattr(self._holder(received), self._path[-1]))

    def outgoing(self, data: Data, **fields: Any) -> Outgoing[M]:
        """Return a message with these bytes, and other fields."""
        return Outgoing(self, self.message_type(**fields), data)

    def encode(self, message: M, data: Data) -> bytes:
        """Return what is sent of a message with bytes that it does not hold itself. A message that the field is in by
        way of another has nothing else."""
        last, *outer = reversed(self._tags)
        head = self._holder(message).SerializeToString() + _varint(last) + _varint(len(data))
        for tag in outer:
            head = _varint(tag) + _varint(len(head) + len(data)) + head
        return b"".join((head, data))

    def _holder(self, message: M) -> Any:
        """Return the message in it that has the field."""
        holder: Any = message
        for name in self._path[:-1]:
            holder = getattr(holder, name)
        return holder


def chunk_method(channel: Any, service: ServiceDescriptor, name: str, answers: ChunkMessage[Any] | None = None) -> Any:
    """Return a method of a service as a stub of that channel has it, but that it sends Outgoing messages too, and
    yields its answers as Received where these are of a kind that carries bytes of files."""
    method = service.methods_by_name[name]
    call = "_".join("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))
    return getattr(channel, call)(
        f"/{service.full_name}/{name}",
        request_serializer=encoder(GetMessageClass(method.input_type).SerializeToString),
        response_deserializer=answers.read if answers else GetMessageClass(method.output_type).FromString,
    )


def takes(kind: ChunkMessage[Any]) -> Callable[[Any], Any]:
    """Decorate a handler of a stream of such messages: it takes them as Received."""

    def mark(handler: Any) -> Any:
        setattr(handler, _READ, kind.read)
        return handler

    return mark


def reader(handler: Any) -> Callable[[Any], Any] | None:
    """Return what makes of a request what a handler takes, be it as it came or, within one process, as it was sent;
    None for a handler that takes it as it is. Its result raises DecodeError."""
    behavior, deserialize = handler.stream_unary or handler.stream_stream, handler.request_deserializer
    own: Callable[[Any], Any] | None = getattr(behavior, _READ, None)
    return own or (partial(_read, deserialize) if deserialize else None)


def _read(deserialize: Callable[[bytes], Any], received: Any) -> Any:
    return deserialize(received) if isinstance(received, bytes) else received


def encoder(serialize: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Return what encodes messages and Outgoing ones, given what encodes messages."""
    is_one = isinstance(serialize, partial) and serialize.func is _encode
    return serialize if is_one else partial(_encode, serialize)


def _encode(serialize: Callable[[Any], bytes], message: Any) -> bytes:
    return message.encode() if isinstance(message, Outgoing) else serialize(message)


def _cut(encoded: memoryview, tags: list[int]) -> tuple[bytes, memoryview] | None:
    """Return a message without the bytes of its field, which is empty then, and these; None where they are not there,
    or the message is of no usual form."""
    try:
        found = _find(encoded, tags[0])
    except (IndexError, ValueError):
        return None
    if found is None:
        return None
    start, value, end = found
    rest, data = b"", encoded[value:end]
    if len(tags) > 1:
        inner = _cut(data, tags[1:])
        if inner is None:
            return None
        rest, data = inner
    return b"".join((encoded[:start], _varint(tags[0]), _varint(len(rest)), rest, encoded[end:])), data


def _find(encoded: memoryview, wanted: int) -> tuple[int, int, int] | None:
    """Return where the only field with a tag begins, its value begins and ends. Raises ValueError, IndexError."""
    found, position, size = None, 0, len(encoded)
    for _ in range(MAX_FIELDS):
        if position == size:
            return found
        start = position
        tag, position = _read_varint(encoded, position)
        kind = tag & 7
        value = position
        if kind == LENGTH:
            length, value = _read_varint(encoded, position)
            position = value + length
        elif kind == VARINT:
            _, position = _read_varint(encoded, position)
        else:
            position += FIXED_BYTES.get(kind, size + 1)  # groups are left to protobuf
        if position > size:
            raise ValueError
        if tag == wanted:
            if found is not None:
                raise ValueError  # of two the last one counts, and messages are merged
            found = start, value, position
    return None


def _read_varint(encoded: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for index in range(MAX_VARINT_BYTES):
        byte = encoded[position + index]
        result |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return result, position + index + 1
    raise ValueError


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
