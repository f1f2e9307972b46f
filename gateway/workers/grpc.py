"""An encoder reached by gRPC over mTLS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import structlog

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from gateway.workers.base import EncodeJob, EncoderBusy, EncoderLost, Events, Input, InputFailed, Outcome, about, empty
from servicekit.chunks import ACCEPTED, MAX_MESSAGE_BYTES, Checksum
from servicekit.errors import DataLoss, ServiceError, from_rpc
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.workers")

CONNECT_SECONDS = 3.0
ACCEPT_SECONDS = 60.0
ASK_SECONDS = 3.0
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # An encoder whose machine vanished sends no reset: find out within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
Stream = grpc.aio.StreamStreamCall[encoder_pb2.EncodeRequest, encoder_pb2.EncodeResponse]


class GrpcEncoder:
    """See base.Encoder. `address` is host:port; `tls_name` what the certificate must have instead of that host, and
    `name` what the encoder is called instead of its address."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials,
        session_token: str,
        tls_name: str = "",
        name: str = "",
    ) -> None:
        self.name = name or address
        named = (("grpc.ssl_target_name_override", tls_name),) if tls_name else ()
        self._channel = grpc.aio.secure_channel(address, credentials, (*OPTIONS, *named))
        self._stub = encoder_pb2_grpc.EncoderServiceStub(self._channel)
        self._metadata = (("x-session-token", session_token),) if session_token else ()

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def capabilities(self, timeout_seconds: float = ASK_SECONDS) -> encoder_pb2.GetCapabilitiesResponse:
        """What the encoder can do. Raises EncoderBusy when it does not answer in time."""
        try:
            return await self._stub.GetCapabilities(
                encoder_pb2.GetCapabilitiesRequest(),
                timeout=timeout_seconds,
                metadata=self._metadata,
                wait_for_ready=True,
            )
        except grpc.aio.AioRpcError as error:
            raise EncoderBusy(f"Encoder {self.name} does not answer: {error.details()}") from error

    async def release(self, task_id: str) -> None:
        """See base.Encoder; nothing is kept, as the task ends with its call."""

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """See base.Encoder."""
        await self._connected()
        call: Stream = self._stub.Encode(metadata=self._metadata)
        is_accepted = False
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                await _accepted(call, job)
            is_accepted = True
            await events.started()
            return Outcome(await _exchanged(call, job, events))
        except grpc.aio.AioRpcError as error:
            raise self._translated(error, is_accepted) from error
        except TimeoutError as error:
            if is_accepted:
                raise
            raise EncoderBusy(f"Encoder {self.name} does not say whether it takes the task.") from error
        finally:
            call.cancel()

    async def _connected(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._channel.channel_ready()
        except TimeoutError as error:
            raise EncoderBusy(f"Encoder {self.name} cannot be reached.") from error

    def _translated(self, error: grpc.aio.AioRpcError, is_accepted: bool) -> ServiceError:
        found = from_rpc(error)
        if found.reason in ELSEWHERE:
            # One that took the task and could not go on has worked, and is paid for it: the try counts.
            text = f"Encoder {self.name} cannot take the task: {found.message}"
            return EncoderLost(text) if is_accepted else EncoderBusy(text)
        if error.code() in LOST or not error.trailing_metadata():
            text = f"encoder {self.name} went away ({error.code().name}: {error.details()})"
            return EncoderLost(text) if is_accepted else EncoderBusy(text)
        return found


# Codes by which an encoder, or the way to it, fails without the task being at fault. So does a status that gRPC made by
# itself: the service's own carry at least a request id.
LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


# Reasons for which another encoder, or this one later, may take the task.
ELSEWHERE = ("NO_FREE_SLOT", "DISK_FULL")


async def _accepted(call: Stream, job: EncodeJob) -> None:
    """Send the task and wait until the encoder has taken it. Raises AioRpcError when it refuses."""
    fields = [encoder_pb2.Input(field=entry.field, also=entry.also) for entry in job.inputs]
    task = encoder_pb2.Task(id=job.id, operation=job.operation, inputs=fields)
    with contextlib.suppress(asyncio.InvalidStateError):  # refused before it was sent; the status says why
        await call.write(encoder_pb2.EncodeRequest(task=task))
    metadata = await call.initial_metadata() or grpc.aio.Metadata()
    if ACCEPTED not in dict(metadata):
        trailing = await call.trailing_metadata() or grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(await call.code(), metadata, trailing, await call.details())


async def _exchanged(call: Stream, job: EncodeJob, events: Events) -> encoder_pb2.Summary:
    """Send the inputs and take the result, side by side."""
    feeding = asyncio.create_task(_feed(call, job))
    try:
        return await _receive(call, events)
    except BaseException as error:
        # Whatever ended the feeding ended the call, and is the reason to tell.
        if feeding.done() and not feeding.cancelled() and (reason := feeding.exception()):
            raise reason from error
        raise
    finally:
        await cancel_and_wait(feeding)


async def _feed(call: Stream, job: EncodeJob) -> None:
    """Send the inputs. Ends the call when one cannot be read: raises InputFailed, or what was not foreseen."""
    try:
        for index, entry in enumerate(job.inputs):
            try:
                async for request in _input_requests(index, entry):
                    await call.write(request)
            except ServiceError as error:
                raise InputFailed(about(entry.field, error)) from error
        await call.done_writing()
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
        return  # the call is over; whoever reads it learns why
    except BaseException:
        call.cancel()
        raise


async def _input_requests(index: int, entry: Input) -> AsyncIterator[encoder_pb2.EncodeRequest]:
    tally = Checksum()
    async with entry.open() as source:
        async for data in source.chunks():
            tally.add(data)
            yield encoder_pb2.EncodeRequest(chunk=encoder_pb2.InputChunk(input=index, data=data))
    if not tally.size_bytes:
        raise empty()
    end = encoder_pb2.InputEnd(input=index, size_bytes=tally.size_bytes, sha256=tally.sha256)
    yield encoder_pb2.EncodeRequest(input_end=end)


async def _receive(call: Stream, events: Events) -> encoder_pb2.Summary:
    tallies, summary = [Checksum()], None
    async for response in call:
        part = response.WhichOneof("part")
        if part == "progress":
            await events.progress(response.progress)
        elif part == "chunk":
            tallies[-1].add(response.chunk)
            await events.chunk(response.chunk)
        elif part == "file":
            tallies.append(Checksum())
            await events.file(response.file.name, response.file.content_type)
        elif part == "summary":
            summary = response.summary
    if summary is None:
        raise DataLoss("The encoder ended without a result.", reason="NO_SUMMARY")
    announced = [(summary.size_bytes, summary.sha256), *((file.size_bytes, file.sha256) for file in summary.files)]
    for tally, (size_bytes, sha256) in zip(tallies, announced, strict=False):  # their number is held against the rules
        tally.verify("the encoder's result", size_bytes=size_bytes, sha256=sha256)
    return summary
