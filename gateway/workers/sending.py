"""Inputs on their way to an encoder over the call of its task: each from its beginning to its end; and then, of those
of which the beginning came, what the encoder asks for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc

from apigpu.encoder.v1 import encoder_pb2
from gateway.metrics import ENCODER, IN, OUT, transferred
from gateway.sources import ByteRanges, Source
from gateway.sources.outline import placed
from gateway.workers.base import EncodeJob, Input, InputFailed, about, empty
from servicekit import tracing
from servicekit.chunk_messages import ChunkMessage, Outgoing, Received
from servicekit.chunks import MAX_ASKS, Checksum
from servicekit.errors import Internal, ServiceError

REQUEST = ChunkMessage(encoder_pb2.EncodeRequest, "chunk", "data")
Request = encoder_pb2.EncodeRequest | Outgoing[encoder_pb2.EncodeRequest]
Stream = grpc.aio.StreamStreamCall[Request, Received[encoder_pb2.EncodeResponse]]
# That an encoder asks for of one input at a time.
MAX_RANGES = 256

count_sent, count_received = transferred(OUT, ENCODER), transferred(IN, ENCODER)


@dataclass
class InputSender:
    """Sends the inputs of a task over its call, unless they `are_sent`."""

    call: Stream
    job: EncodeJob
    are_sent: bool = False
    # By their index: what has come of inputs of which more may be asked for.
    _come: dict[int, ByteRanges] = field(default_factory=dict)
    _asks: int = 0

    async def send_all(self) -> None:
        """Send the inputs. Cancels the call if one cannot be read: raises InputFailed, or the unexpected."""
        inputs = () if self.are_sent else self.job.inputs
        try:
            with tracing.span("send inputs", inputs=len(inputs)) as note:
                note(bytes=sum([await self._send(index, entry) for index, entry in enumerate(inputs)]))
            if not self._come:
                await self.call.done_writing()
        except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
            return  # the call is over; whoever reads it learns why
        except BaseException:
            self.call.cancel()
            raise

    async def send_more(self, wanted: encoder_pb2.WantedRanges) -> None:
        """Send ranges that the encoder asks for, less what has come of them. Raises InputFailed, and Internal for what
        cannot be asked for."""
        come = self._come.get(wanted.input)
        pairs = tuple((found.start, found.end) for found in wanted.ranges)
        self._asks += 1
        if come is None or len(pairs) > MAX_RANGES or self._asks > MAX_ASKS * len(self._come):
            raise Internal("The encoder asked for what it may not have.", reason="BAD_PLAN")
        asked = ByteRanges(come.size_bytes, pairs, come.version)
        if not asked.are_valid:
            raise Internal("The encoder asked for ranges that cannot be.", reason="BAD_PLAN")
        lacking = asked.without(come.ranges)
        self._come[wanted.input] = come.joined(asked)
        with tracing.span("send more of an input", ranges=len(lacking.ranges)) as note:
            try:
                note(bytes=await self._send(wanted.input, self.job.inputs[wanted.input], lacking))
            except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
                return

    async def _send(self, index: int, entry: Input, ranges: ByteRanges | None = None) -> int:
        """Send an input, or ranges of it, and its end; return the bytes that were sent."""
        checksum = Checksum()
        try:
            async for request in self._requests(index, entry, ranges, checksum):
                await self.call.write(request)
        except ServiceError as error:
            raise InputFailed(about(entry.field, error)) from error
        return checksum.size_bytes

    async def _requests(
        self, index: int, entry: Input, ranges: ByteRanges | None, checksum: Checksum
    ) -> AsyncIterator[Request]:
        """Yield the chunks of an input, or of ranges of it, and its end; note the version of its source."""
        charset = ""
        if ranges is None or ranges.ranges:
            has_holes = entry.has_holes or entry.open_index is not None
            opened = (
                (entry.open_index or entry.open)()
                if ranges is None or entry.more is None
                else entry.more.ranges(ranges)
            )
            async with opened as source:
                charset = source.charset
                if ranges is None:
                    self._note(index, entry, source)
                async for offset, data in placed(source):
                    checksum.add(data)
                    count_sent(len(data))
                    chunk = encoder_pb2.InputChunk(input=index, offset=offset if has_holes else 0)
                    yield REQUEST.outgoing(data, chunk=chunk)
            if not checksum.size_bytes:
                raise empty()
        yield encoder_pb2.EncodeRequest(
            input_end=encoder_pb2.InputEnd(
                input=index, size_bytes=checksum.size_bytes, sha256=checksum.sha256, charset=charset
            )
        )

    def _note(self, index: int, entry: Input, source: Source) -> None:
        """Note the version of a source, and what of it comes, where more of it may be asked for."""
        self.job.versions[entry.source] = source.version
        if entry.more is not None and source.holes and source.size_bytes is not None:
            whole = ByteRanges(source.size_bytes, ((0, source.size_bytes),), source.version)
            self._come[index] = whole.without([(hole.start, hole.end) for hole in source.holes])
