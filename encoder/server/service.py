"""EncoderService: messages to domain and back."""

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from encoder.codecs.nvenc import driver
from encoder.operations import OPERATIONS
from encoder.operations.plan import Source
from encoder.server.capabilities import VERSION, Capabilities
from encoder.tasks import inputs
from encoder.tasks.executor import TaskExecutor
from encoder.tasks.result_stream import ResultStream
from encoder.tasks.workspace import TaskFolder
from servicekit.chunks import ACCEPTED
from servicekit.errors import ServiceError
from servicekit.interceptors import Context


class EncoderServicer(encoder_pb2_grpc.EncoderServiceServicer):
    """See encoder.proto."""

    def __init__(self, workshop: TaskExecutor) -> None:
        self._workshop = workshop

    # It writes to the context by itself: a generator left at a `yield` would keep its FFmpeg until it is collected.
    async def Encode(self, request_iterator: inputs.Requests, context: Context) -> None:  # type: ignore[override]
        async def report(progress: encoder_pb2.EncodeProgress) -> None:
            await context.write(encoder_pb2.EncodeResponse(progress=progress))

        async def chunk(data: bytes) -> None:
            await context.write(encoder_pb2.EncodeResponse(chunk=data))

        async def begin_file(name: str, content_type: str) -> None:
            file = encoder_pb2.ResultFile(name=name, content_type=content_type)
            await context.write(encoder_pb2.EncodeResponse(file=file))

        task = await inputs.first(request_iterator)
        async with self._workshop.place(task) as place:
            await context.send_initial_metadata(((ACCEPTED, "1"),))
            sources = await self._received(request_iterator, task, place)
            summary = await self._workshop.make(task, sources, place, report, ResultStream(chunk, begin_file))
            await context.write(encoder_pb2.EncodeResponse(summary=summary))

    async def _received(
        self, requests: inputs.Requests, task: encoder_pb2.Task, place: TaskFolder
    ) -> dict[str, Source]:
        try:
            max_bytes = self._workshop.limits.max_input_bytes
            return await inputs.receive(requests, task.inputs, place.folder, max_bytes)
        except ServiceError:
            await inputs.discard(requests)
            raise

    async def GetCapabilities(
        self, request: encoder_pb2.GetCapabilitiesRequest, context: Context
    ) -> encoder_pb2.GetCapabilitiesResponse:
        slots, limits, found = self._workshop.slots, self._workshop.limits, self._workshop.capabilities
        return encoder_pb2.GetCapabilitiesResponse(
            slots=slots.open_total,
            busy=slots.busy,
            operations=list(OPERATIONS),
            codecs=_codecs(found, working=True),
            unusable_codecs=_codecs(found, working=False),
            cards=[
                encoder_pb2.Card(name=card.name, formats=list(card.formats), fault=card.fault, sessions=card.sessions)
                for card in found.cards
            ],
            version=VERSION,
            ffmpeg_version=found.ffmpeg_version,
            max_input_bytes=limits.max_input_bytes,
            max_duration_seconds=limits.max_duration_seconds,
            max_task_seconds=limits.max_task_seconds,
            sandbox=found.ffmpeg.sandbox.name,
            driver=driver.versions(),
        )


def _codecs(capabilities: Capabilities, *, working: bool) -> list[encoder_pb2.Codec]:
    return [
        encoder_pb2.Codec(name=state.codec.name, format=state.codec.format, fault=state.fault)
        for state in capabilities.codecs
        if working is not bool(state.fault)
    ]
