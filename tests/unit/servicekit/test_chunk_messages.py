import random

import pytest
from google.bytestream.bytestream_pb2 import WriteRequest
from google.protobuf.message import DecodeError

from apigpu.encoder.v1.encoder_pb2 import EncodeRequest, InputChunk
from apigpu.v1.assets_pb2 import DownloadAssetResponse, UploadAssetRequest
from servicekit.chunk_messages import LEAST_BYTES, MAX_FIELDS, ChunkMessage

BYTES = random.Random(3).randbytes(3 * LEAST_BYTES)
WRITE = ChunkMessage(WriteRequest, "data")
UPLOAD = ChunkMessage(UploadAssetRequest, "chunk")
DOWNLOAD = ChunkMessage(DownloadAssetResponse, "chunk")
INPUT = ChunkMessage(EncodeRequest, "chunk", "data")
SIZES = [0, 1, 127, 128, LEAST_BYTES - 1, LEAST_BYTES, len(BYTES)]


def cases(data: bytes):
    """Yield kinds with a message that has these bytes, and with its other fields."""
    yield WRITE, WriteRequest(write_offset=2**62, data=data), {"write_offset": 2**62}
    named = {"resource_name": "uploads/a", "write_offset": 5, "finish_write": True}
    yield WRITE, WriteRequest(**named, data=data), named
    yield UPLOAD, UploadAssetRequest(chunk=data), {}
    yield DOWNLOAD, DownloadAssetResponse(chunk=data), {}
    yield INPUT, EncodeRequest(chunk=InputChunk(data=data)), {"chunk": InputChunk()}
    placed = {"input": 300, "offset": 2**40}
    yield INPUT, EncodeRequest(chunk=InputChunk(**placed, data=data)), {"chunk": InputChunk(**placed)}


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sent_is_the_message(size):
    data = BYTES[:size]
    for kind, message, others in cases(data):
        for form in (data, memoryview(data)):
            assert type(message).FromString(kind.outgoing(form, **others).encode()) == message


@pytest.mark.parametrize("size", SIZES)
def test_what_came_is_read_without_its_bytes(size):
    data = BYTES[:size]
    for kind, message, others in cases(data):
        for form in (message.SerializeToString(), message, kind.outgoing(data, **others)):
            read = kind.read(form)
            assert read.data == data
            oneof = next(iter(message.DESCRIPTOR.oneofs), None)
            if oneof is not None:
                assert read.message.WhichOneof(oneof.name) == message.WhichOneof(oneof.name)
            if kind is WRITE:
                assert read.message.write_offset == message.write_offset
                assert read.message.finish_write == message.finish_write
            if kind is INPUT:
                assert (read.message.chunk.input, read.message.chunk.offset) == (
                    message.chunk.input,
                    message.chunk.offset,
                )


def test_the_bytes_of_what_came_are_not_copied():
    for kind, message, _ in cases(BYTES):
        encoded = message.SerializeToString()
        read = kind.read(encoded)
        assert isinstance(read.data, memoryview)
        assert read.data.obj is encoded
        assert read.message.ByteSize() < 100


def field(number: int, data: bytes) -> bytes:
    """Encode a field of bytes shorter than 128."""
    return bytes([number << 3 | 2, len(data)]) + data


def test_messages_of_unusual_form_are_read_as_protobuf_reads_them():
    one, other = WriteRequest(data=BYTES).SerializeToString(), WriteRequest(data=BYTES[1:]).SerializeToString()
    unknown = field(15, b"of a later version") + b"\x79" + bytes(8) + b"\x7d" + bytes(4)
    group = b"\x63" + field(1, b"in a group") + b"\x64"
    fields = WriteRequest(write_offset=1).SerializeToString() * (MAX_FIELDS + 1)
    for encoded in (one + other, other + one, unknown + one, one + unknown, one + group, fields + one, one + fields):
        expected = WriteRequest.FromString(encoded)
        read = WRITE.read(encoded)
        assert (read.data, read.message.write_offset) == (expected.data, expected.write_offset)
    chunk = EncodeRequest(chunk=InputChunk(input=1, data=BYTES)).SerializeToString()
    merged = chunk + EncodeRequest(chunk=InputChunk(offset=7)).SerializeToString()
    assert INPUT.read(merged).data == BYTES
    assert INPUT.read(merged).message.chunk.offset == 7
    later = UploadAssetRequest(chunk=BYTES).SerializeToString() + field(3, b"")
    assert UPLOAD.read(later).message.WhichOneof("part") == "finish"


def test_whatever_comes_is_read_as_protobuf_reads_it_or_refused():
    seeds = [(kind, message.SerializeToString()) for kind, message, _ in cases(BYTES)]
    chance = random.Random(5)
    for _ in range(1500):
        kind, encoded = chance.choice(seeds)
        mutated = bytearray(encoded)
        for _ in range(chance.randint(1, 3)):
            place = chance.choice([chance.randrange(24), len(mutated) - 1 - chance.randrange(24)])
            mutated[place] = chance.randrange(256)
        if chance.random() < 0.3:
            del mutated[chance.randrange(LEAST_BYTES, len(mutated)) :]
        try:
            expected = kind.message_type.FromString(bytes(mutated))
        except DecodeError:
            with pytest.raises(DecodeError):
                kind.read(bytes(mutated))
            continue
        read = kind.read(bytes(mutated))
        holder = expected.chunk if kind is INPUT else expected
        assert read.data == (holder.data if kind in (WRITE, INPUT) else holder.chunk)
        for oneof in expected.DESCRIPTOR.oneofs:
            assert read.message.WhichOneof(oneof.name) == expected.WhichOneof(oneof.name)
