"""The protocol of Encode: what a stream must hold, and that nothing else is believed."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from servicekit.chunks import SMALL_INPUTS
from servicekit.errors import from_rpc
from tests.support import encoder_harness

Request = encoder_pb2.EncodeRequest
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
FIELDS = ("url_video", "url_srt")
DATA = b"some bytes"
DIGEST = hashlib.sha256(DATA).hexdigest()


def task(fields: Sequence[str] = FIELDS, operation: video_pb2.Operation = CAPTION) -> Request:
    inputs = [encoder_pb2.Input(field=name) for name in fields]
    return Request(task=encoder_pb2.Task(id="../../etc/t", operation=operation, inputs=inputs))


def chunk(index: int, data: bytes = DATA) -> Request:
    return Request(chunk=encoder_pb2.InputChunk(input=index, data=data))


def end(index: int, size: int = len(DATA), digest: str = DIGEST) -> Request:
    return Request(input_end=encoder_pb2.InputEnd(input=index, size_bytes=size, sha256=digest))


def with_inputs(count: int = 2, size: int = len(DATA), digest: str = DIGEST) -> Request:
    """A task that comes with its inputs."""
    request = task()
    for index in range(count):
        told = encoder_pb2.InputEnd(input=index, size_bytes=size, sha256=digest)
        request.task.small_inputs.append(encoder_pb2.SmallInput(data=DATA, end=told))
    return request


async def answer(client: encoder_harness.Client, messages: Sequence[Request]) -> tuple[grpc.StatusCode, str, str]:
    """Code, reason and text of the error that these messages get."""

    async def stream() -> AsyncIterator[Request]:
        for message in messages:
            yield message

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in client.stub.Encode(stream()):
            pass
    error = from_rpc(caught.value)
    return error.code, error.reason, error.message


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        ([], "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ([chunk(0)], "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ([task(operation=video_pb2.Operation())], "INVALID_ARGUMENT", "UNKNOWN_OPERATION"),
        ([task(("url_video", "url_video"))], "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ([task()], "DATA_LOSS", "CUT_OFF"),
        ([task(), chunk(0)], "DATA_LOSS", "CUT_OFF"),
        ([task(), chunk(0), end(0)], "DATA_LOSS", "CUT_OFF"),
        ([task(), chunk(0), end(0), chunk(1)], "DATA_LOSS", "CUT_OFF"),
        ([task(), chunk(1)], "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ([task(), chunk(0), task()], "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ([task(), chunk(0), end(0, size=9)], "DATA_LOSS", "SIZE_MISMATCH"),
        ([task(), chunk(0), end(0, digest="0" * 64)], "DATA_LOSS", "DIGEST_MISMATCH"),
        ([task(), chunk(0), end(0, digest="")], "DATA_LOSS", "DIGEST_MISSING"),
        ([task(("url_video",)), chunk(0), end(0)], "INVALID_ARGUMENT", "INPUT_MISSING"),
        ([task(())], "INVALID_ARGUMENT", "INPUT_MISSING"),
        ([with_inputs(1)], "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ([with_inputs(size=9)], "DATA_LOSS", "SIZE_MISMATCH"),
        ([with_inputs(digest="0" * 64)], "DATA_LOSS", "DIGEST_MISMATCH"),
        ([with_inputs(digest="")], "DATA_LOSS", "DIGEST_MISSING"),
    ],
)
async def test_a_stream_that_is_not_whole_is_refused(
    client: encoder_harness.Client, encoder: encoder_harness.Encoder, messages: list[Request], code: str, reason: str
) -> None:
    found = await answer(client, messages)
    assert (found[0].name, found[1]) == (code, reason)
    assert not encoder.task_folders()


async def test_a_missing_input_is_named(client: encoder_harness.Client) -> None:
    assert (await answer(client, [task(("url_video",)), chunk(0), end(0)]))[2].startswith("url_srt: ")


async def test_capabilities(client: encoder_harness.Client) -> None:
    found = await client.capabilities()
    assert (found.slots, found.busy) == (3, 0)
    assert list(found.operations) == [
        "caption",
        "img2vid",
        "addaudio",
        "concat",
        "thumbnail",
        "story",
        "probe",
        "frame",
    ]
    assert [(codec.name, codec.format) for codec in found.codecs] == [("x264", "h264")]
    assert found.ffmpeg_version
    assert found.version
    assert (found.max_input_bytes, found.max_duration_seconds, found.max_task_seconds) == (8 * 1024**3, 14400, 3600)


async def test_work_folders_are_gone_after_success(
    client: encoder_harness.Client, encoder: encoder_harness.Encoder, gray: Path, cues: Path
) -> None:
    await client.encode(CAPTION, {"url_video": gray, "url_srt": cues})
    assert not encoder.task_folders()
    assert not encoder.children()


async def test_inputs_that_come_with_their_task_are_all_that_it_needs(
    client: encoder_harness.Client, gray: Path, cues: Path
) -> None:
    request = task()
    for index, path in enumerate((gray, cues)):
        data = path.read_bytes()
        told = encoder_pb2.InputEnd(input=index, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        request.task.small_inputs.append(encoder_pb2.SmallInput(data=data, end=told))

    async def stream() -> AsyncIterator[Request]:
        yield request

    call = client.stub.Encode(stream())
    assert SMALL_INPUTS in dict(await call.initial_metadata())
    parts = [response.WhichOneof("part") async for response in call]
    assert (parts[-1], "chunk" in parts) == ("summary", True)
