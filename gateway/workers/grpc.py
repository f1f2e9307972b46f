"""An encoder reached by gRPC over mTLS."""

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace

import grpc
import structlog

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from gateway.workers import small_inputs
from gateway.workers.base import (
    EncodeJob,
    EncoderBusy,
    EncoderCutOff,
    Events,
    Outcome,
)
from gateway.workers.faults import reported
from gateway.workers.pool import Pool
from gateway.workers.sending import InputSender, Stream, count_received, count_sent
from servicekit import log_context, tracing
from servicekit.chunk_messages import ChunkMessage, chunk_method
from servicekit.chunks import ACCEPTED, ASKS_RANGES, MAX_MESSAGE_BYTES, SMALL_INPUTS, check_size
from servicekit.composing import COMPOSES, OWN_INDEXES
from servicekit.errors import DataLoss, from_rpc
from servicekit.interceptors import REQUEST_ID
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("gateway.workers")

CONNECT_SECONDS = 3.0
ACCEPT_SECONDS = 60.0
CAPABILITIES_SECONDS = 3.0
# So long an encoder may take to clean up behind a task.
END_SECONDS = 10.0
MAX_METADATA_BYTES = 32 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # The end of FFmpeg's log comes with an error.
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # An encoder whose machine vanished sends no reset: find out within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
SERVICE = encoder_pb2.DESCRIPTOR.services_by_name["EncoderService"]
RESPONSE = ChunkMessage(encoder_pb2.EncodeResponse, "chunk")


class GrpcEncoder:
    """Run tasks on an encoder by gRPC. `address` is host:port; `tls_name` is the name that the
    certificate must have instead of that host, and `name` the encoder's instead of its address."""

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials,
        session_token: str,
        tls_name: str = "",
        name: str = "",
    ) -> None:
        self.name = name or address
        # In errors, which callers are told: the address is for the operator's log.
        self._told = f"encoder {name}" if name else "the encoder"
        self.address = address
        named = (("grpc.ssl_target_name_override", tls_name),) if tls_name else ()
        self._options = (*OPTIONS, *named)
        self._channels: list[grpc.aio.Channel] = []
        # Calls whose results are here, and on which the encoder cleans up.
        self._ending: dict[str, Stream] = {}
        self.reconnect(credentials)
        self._metadata = (("x-session-token", session_token),) if session_token else ()

    def reconnect(self, credentials: grpc.ChannelCredentials) -> None:
        """Make new calls with other credentials; those that run end on the connection that they have."""
        self._channels.append(grpc.aio.secure_channel(self.address, credentials, self._options))
        self._stub = encoder_pb2_grpc.EncoderServiceStub(self._channels[-1])
        self._encode = chunk_method(self._channels[-1], SERVICE, "Encode", RESPONSE)

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def capabilities(self, timeout_seconds: float = CAPABILITIES_SECONDS) -> encoder_pb2.GetCapabilitiesResponse:
        """Return what the encoder can do. Raises EncoderBusy if it does not answer in time."""
        try:
            return await self._stub.GetCapabilities(
                encoder_pb2.GetCapabilitiesRequest(),
                timeout=timeout_seconds,
                metadata=self._metadata,
                wait_for_ready=True,
            )
        except grpc.aio.AioRpcError as error:
            raise EncoderBusy(f"{self._told} does not answer: {error.details()}") from error

    async def release(self, task_id: str) -> None:
        """Do nothing: no run goes on without its gateway."""

    async def until_ended(self, task_id: str) -> None:
        """Wait for the end of the task's call, with which the encoder has its slot back; cancel a call that hangs."""
        if (call := self._ending.pop(task_id, None)) is not None:
            await _end(call)

    async def run(self, job: EncodeJob, events: Events) -> Outcome:
        """Run a task; see base.Encoder."""
        await self._connect()
        small = await small_inputs.read(job)
        asks = ((ASKS_RANGES, "1"),) if any(entry.more is not None for entry in job.inputs) else ()
        call: Stream = self._encode(metadata=(*self._metadata, *asks, *_request_id(), *tracing.headers()))
        is_accepted = False
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                known = await _start(call, job, small)
            is_accepted = True
            count_sent(sum(len(entry.data) for entry in small))
            are_sent = bool(small) and SMALL_INPUTS in known
            summary = await _exchange(InputSender(call, _as_known(job, known), are_sent), events)
            if job.plan_only:  # of which nothing is stored meanwhile
                await _end(call)
            else:
                self._ending[job.id] = call
                call.add_done_callback(lambda _: self._forget(job.id, call))
            return Outcome(summary)
        except grpc.aio.AioRpcError as error:
            raise self._error(error, job, is_accepted) from error
        except TimeoutError as error:
            if is_accepted:
                raise
            raise EncoderBusy(f"{self._told} did not accept the task in time") from error
        finally:
            if self._ending.get(job.id) is not call:
                call.cancel()

    def _forget(self, task_id: str, call: Stream) -> None:
        if self._ending.get(task_id) is call:
            del self._ending[task_id]

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._channels[-1].channel_ready()
        except TimeoutError as error:
            raise EncoderBusy(f"{self._told} cannot be reached") from error

    def _error(self, error: grpc.aio.AioRpcError, job: EncodeJob, is_accepted: bool) -> Exception:
        """Return the error of a failed call. A status that gRPC made by itself means that the encoder, or the way to
        it, is gone: the encoder's own carry at least a request id."""
        if error.trailing_metadata():
            return reported(from_rpc(error), self._told, job.inputs, is_accepted=is_accepted)
        kind = EncoderCutOff if is_accepted else EncoderBusy
        log.warning("encoder went away", encoder=self.name, code=error.code().name, error=error.details())
        return kind(f"{self._told} went away ({error.code().name})")


def grpc_endpoints(pool: Pool) -> list[tuple[str, int]]:
    """Return host and port of the encoders of a pool that are reached by gRPC."""
    encoders = [member.encoder for member in pool.members]
    split = [encoder.address.rpartition(":") for encoder in encoders if isinstance(encoder, GrpcEncoder)]
    return [(host.strip("[]"), int(port)) for host, _, port in split]


def _request_id() -> tuple[tuple[str, str], ...]:
    """Return the metadata by which the encoder calls a request as it is called here."""
    value = log_context.current().get("request_id", "")
    return ((REQUEST_ID, value),) if value else ()


async def _start(call: Stream, job: EncodeJob, small: Sequence[encoder_pb2.SmallInput]) -> Collection[str]:
    """Send the task, with its inputs if they are small, and wait until the encoder has taken it; return what it tells
    that it knows. Raises AioRpcError if it refuses."""
    with contextlib.suppress(asyncio.InvalidStateError):  # refused before it was sent; the status says why
        await call.write(encoder_pb2.EncodeRequest(task=job.message(small, composes=job.composes)))
    metadata = await call.initial_metadata() or grpc.aio.Metadata()
    if ACCEPTED not in dict(metadata):
        trailing = await call.trailing_metadata() or grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(await call.code(), metadata, trailing, await call.details())
    return dict(metadata)


def _as_known(job: EncodeJob, known: Collection[str]) -> EncodeJob:
    """Return a task whose inputs come so that an encoder can read them that knows so much: of one of an earlier version
    those whose index alone would do come whole, as do those of which it may ask for more, and the others with their
    index."""
    inputs = list(job.inputs)
    if ASKS_RANGES not in known:
        inputs = [replace(entry, open=entry.more.whole, more=None) if entry.more else entry for entry in inputs]
    if COMPOSES not in known:
        inputs = [replace(entry, open_index=None) for entry in inputs]
    if OWN_INDEXES not in known:
        inputs = [replace(entry, open=entry.open_indexed or entry.open) for entry in inputs]
    return replace(job, inputs=inputs)


async def _end(call: Stream) -> None:
    """Wait for the end of a call whose results are here; cancel it where that does not come."""
    try:
        async with asyncio.timeout(END_SECONDS):
            async for _ in call:
                pass
    except grpc.aio.AioRpcError as error:
        log.warning("an encoder failed behind a task whose results are here", error=error.details())
    except TimeoutError:
        log.warning("an encoder does not end a task whose results are here", seconds=END_SECONDS)
    finally:
        call.cancel()


async def _exchange(sender: InputSender, events: Events) -> encoder_pb2.Summary:
    """Send the inputs, and receive the results, side by side; the inputs are on their way while the start is noted."""
    sending = asyncio.create_task(sender.send_all())
    try:
        await events.started()
        return await _receive(sender, events)
    except BaseException as error:
        # Whatever ended the sending ended the call, and is the cause.
        if sending.done() and not sending.cancelled() and (reason := sending.exception()):
            raise reason from error
        raise
    finally:
        await cancel_and_wait(sending)


async def _receive(sender: InputSender, events: Events) -> encoder_pb2.Summary:
    """Pass results on, whose digests are held against the summary by who stores them, and return the summary."""
    sizes, summary = [0], None
    async for response, data in sender.call:
        part = response.WhichOneof("part")
        if part == "progress":
            await events.progress(response.progress)
        elif part == "chunk":
            sizes[-1] += len(data)
            count_received(len(data))
            await events.chunk(data)
            del data  # while the next one is awaited
        elif part == "wanted":
            await sender.send_more(response.wanted)
        elif part == "file":
            sizes.append(0)
            await events.file(response.file.name, response.file.content_type)
        elif part == "summary":
            summary = response.summary
            break
    if summary is None:
        raise DataLoss("The encoder ended without a result.", reason="NO_SUMMARY")
    announced = [summary.size_bytes, *(file.size_bytes for file in summary.files)]
    for came, size_bytes in zip(sizes, announced, strict=False):  # their number is held against the rules
        check_size("the encoder's result", came, size_bytes)
    return summary
