"""EncoderService: messages to domain and back."""

from dataclasses import dataclass

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from apigpu.v1 import video_pb2
from encoder import intake
from encoder.capabilities import VERSION, Capabilities
from encoder.codecs.nvenc import driver
from encoder.operations import OPERATIONS
from encoder.outlet import Outlet
from encoder.plan import Source
from encoder.runner import CONTENT_TYPE, Result, Runner, Step, Work
from encoder.slots import Slots
from encoder.workspace import TaskFolder, Workspace
from rpc.chunks import ACCEPTED, Tally
from rpc.errors import InvalidArgument, ServiceError
from rpc.interceptors import Context


@dataclass(frozen=True)
class Limits:
    """What one task may cost."""

    max_input_bytes: int
    max_duration_seconds: float
    max_task_seconds: float


class EncoderServicer(encoder_pb2_grpc.EncoderServiceServicer):
    """See encoder.proto."""

    def __init__(
        self, runner: Runner, workspace: Workspace, slots: Slots, limits: Limits, capabilities: Capabilities
    ) -> None:
        self._runner = runner
        self._workspace = workspace
        self._slots = slots
        self._limits = limits
        self._capabilities = capabilities

    # It writes to the context by itself: a generator left at a `yield` would keep its FFmpeg until it is collected.
    async def Encode(self, request_iterator: intake.Requests, context: Context) -> None:  # type: ignore[override]
        task = await intake.first(request_iterator)
        name = task.operation.WhichOneof("kind")
        if name is None:
            raise InvalidArgument("The task has no operation, or one that this encoder does not know.")

        async def progress(step: Step) -> None:
            await context.write(encoder_pb2.EncodeResponse(progress=_progress(step)))

        async def chunk(data: bytes) -> None:
            await context.write(encoder_pb2.EncodeResponse(chunk=data))

        with self._slots.taken():
            intake.check_announced(task.inputs, self._limits.max_input_bytes)
            await context.send_initial_metadata(((ACCEPTED, "1"),))
            async with self._workspace.task() as place:
                sources = await self._received(request_iterator, task, place)
                work = Work(name, getattr(task.operation, name), sources, place, self._slots.threads)
                outlet = Outlet(chunk)
                result = await self._runner.run(work, progress, outlet)
                await context.write(encoder_pb2.EncodeResponse(summary=_summary(result, outlet.tally)))

    async def _received(
        self, requests: intake.Requests, task: encoder_pb2.Task, place: TaskFolder
    ) -> dict[str, Source]:
        try:
            return await intake.receive(requests, task.inputs, place.folder, self._limits.max_input_bytes)
        except ServiceError:
            await intake.discard(requests)
            raise

    async def GetCapabilities(
        self, request: encoder_pb2.GetCapabilitiesRequest, context: Context
    ) -> encoder_pb2.GetCapabilitiesResponse:
        return encoder_pb2.GetCapabilitiesResponse(
            slots=self._slots.open_total,
            busy=self._slots.busy,
            operations=list(OPERATIONS),
            codecs=_codecs(self._capabilities, working=True),
            unusable_codecs=_codecs(self._capabilities, working=False),
            cards=[
                encoder_pb2.Card(name=card.name, formats=list(card.formats), fault=card.fault, sessions=card.sessions)
                for card in self._capabilities.cards
            ],
            version=VERSION,
            ffmpeg_version=self._capabilities.ffmpeg_version,
            max_input_bytes=self._limits.max_input_bytes,
            max_duration_seconds=self._limits.max_duration_seconds,
            max_task_seconds=self._limits.max_task_seconds,
            sandbox=self._capabilities.ffmpeg.sandbox.name,
            driver=driver.versions(),
        )


def _codecs(capabilities: Capabilities, *, working: bool) -> list[encoder_pb2.Codec]:
    return [
        encoder_pb2.Codec(name=state.codec.name, format=state.codec.format, fault=state.fault)
        for state in capabilities.codecs
        if working is not bool(state.fault)
    ]


def _progress(step: Step) -> encoder_pb2.EncodeProgress:
    message = encoder_pb2.EncodeProgress(frames_done=step.frames_done, frames_total=step.frames_total, fps=step.fps)
    if step.seconds_left is not None:
        message.seconds_left = step.seconds_left
    return message


def _summary(result: Result, tally: Tally) -> encoder_pb2.Summary:
    return encoder_pb2.Summary(
        size_bytes=tally.size_bytes,
        sha256=tally.sha256,
        content_type=CONTENT_TYPE,
        codec=result.codec,
        codec_reason=result.codec_reason,
        frames=result.frames,
        duration_seconds=result.duration_seconds,
        width=result.width,
        height=result.height,
        encode_seconds=result.encode_seconds,
        warnings=[video_pb2.Warning(reason=w.reason, message=w.message, metadata=w.metadata) for w in result.warnings],
    )
