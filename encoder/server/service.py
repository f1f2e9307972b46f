"""EncoderService: messages to domain and back."""

from dataclasses import dataclass

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from encoder.codecs.nvenc import driver
from encoder.media.info import Source
from encoder.operations import OPERATIONS
from encoder.tasks import inputs
from encoder.tasks.capabilities import VERSION, Capabilities
from encoder.tasks.executor import TaskExecutor
from encoder.tasks.results import ResultStream
from encoder.tasks.workspace import TaskFolder
from servicekit.chunks import ACCEPTED
from servicekit.errors import ServiceError
from servicekit.interceptors import Context


@dataclass(frozen=True)
class EncoderServicer(encoder_pb2_grpc.EncoderServiceServicer):
    """Serves encoder.proto."""

    executor: TaskExecutor

    # It writes to the context by itself: a generator left at a `yield` would keep its FFmpeg until it is collected.
    async def Encode(self, request_iterator: inputs.Requests, context: Context) -> None:  # type: ignore[override]
        async def report(progress: encoder_pb2.EncodeProgress) -> None:
            await context.write(encoder_pb2.EncodeResponse(progress=progress))

        async def send(data: bytes) -> None:
            await context.write(encoder_pb2.EncodeResponse(chunk=data))

        async def begin_file(name: str, content_type: str) -> None:
            file = encoder_pb2.ResultFile(name=name, content_type=content_type)
            await context.write(encoder_pb2.EncodeResponse(file=file))

        task = await inputs.read_task(request_iterator)
        async with self.executor.reserve(task) as folder:
            await context.send_initial_metadata(((ACCEPTED, "1"),))
            sources = await self._receive(request_iterator, task, folder)
            stream = ResultStream(send, begin_file)
            summary = await self.executor.execute(task, sources, folder, report, stream)
            await context.write(encoder_pb2.EncodeResponse(summary=summary))

    async def _receive(
        self, requests: inputs.Requests, task: encoder_pb2.Task, folder: TaskFolder
    ) -> dict[str, Source]:
        try:
            return await inputs.receive(requests, task.inputs, folder.path, self.executor.limits.max_input_bytes)
        except ServiceError:
            await inputs.discard(requests)
            raise

    async def GetCapabilities(
        self, request: encoder_pb2.GetCapabilitiesRequest, context: Context
    ) -> encoder_pb2.GetCapabilitiesResponse:
        slots, limits, capabilities = self.executor.slots, self.executor.limits, self.executor.capabilities
        return encoder_pb2.GetCapabilitiesResponse(
            slots=slots.offered,
            busy=slots.busy,
            operations=list(OPERATIONS),
            codecs=_codecs(capabilities, working=True),
            unusable_codecs=_codecs(capabilities, working=False),
            cards=[
                encoder_pb2.Card(name=card.name, formats=list(card.formats), fault=card.fault, sessions=card.sessions)
                for card in capabilities.cards
            ],
            version=VERSION,
            ffmpeg_version=capabilities.ffmpeg_version,
            max_input_bytes=limits.max_input_bytes,
            max_duration_seconds=limits.max_duration_seconds,
            max_task_seconds=limits.max_task_seconds,
            sandbox=capabilities.ffmpeg.sandbox.name,
            driver=driver.versions(),
        )


def _codecs(capabilities: Capabilities, *, working: bool) -> list[encoder_pb2.Codec]:
    return [
        encoder_pb2.Codec(name=state.codec.name, format=state.codec.format, fault=state.fault)
        for state in capabilities.codecs
        if working is not bool(state.fault)
    ]
