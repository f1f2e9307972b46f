"""The process that plans one task: it reads what the caller sent, and answers requests until its channel is closed.

It is forked by the fork server; or the sandbox starts a program that has this `main`.
"""

import errno
import resource
import socket
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.message import Message

from apigpu.encoder.v1 import story_pb2
from apigpu.v1 import probe_pb2, video_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import X264, Codec
from encoder.codecs.nvenc.codec import Nvenc
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import FfmpegRun
from encoder.media.info import Source
from encoder.media.reading import on_reading
from encoder.media.web_pages import check_no_page
from encoder.operations import OPERATIONS, STORY_PARTS
from encoder.operations.plan import Operation, Plan, PlanContext, check_options
from encoder.planning.checks import finish_results
from encoder.planning.protocol import (
    FileData,
    PlanData,
    PlannerReply,
    PlannerRequest,
    PlanningSettings,
    PlanRequest,
    iter_messages,
    pack,
)
from encoder.planning.runs import to_data
from servicekit.codec import from_json
from servicekit.errors import ServiceError, Unimplemented

MAX_TRACEBACK_CHARS = 20_000


class Send(Protocol):
    """Sends a message to the encoder."""

    def __call__(self, reply: PlannerReply) -> None: ...


@dataclass
class PlanningSession:
    """The plan of one task, from its request to its results."""

    settings: PlanningSettings
    fonts: FontLibrary
    _plans: list[tuple[Plan, Path]] = field(default_factory=list)

    def answer(self, request: PlannerRequest) -> PlannerReply:
        """Return the answer to a request. Raises ServiceError."""
        if request.plan is not None:
            return PlannerReply(plan=self._make_plan(request.plan))
        plan, result = self._plans[-1]
        if request.run is not None:
            planned = plan.runs[request.run]
            run = planned if isinstance(planned, FfmpegRun) else planned()
            return PlannerReply(run=to_data(run)) if run is not None else PlannerReply(needless=True)
        return PlannerReply(summary=finish_results(plan, result).SerializeToString())

    def _make_plan(self, request: PlanRequest) -> PlanData:
        resource.setrlimit(resource.RLIMIT_CPU, (request.cpu_seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        make, message = _story_part(request.part) if request.part else _operation(request.operation)
        folder = Path(request.folder)
        partial = bool(getattr(message, "allow_partial", False))
        noted: dict[str, probe_pb2.MediaFacts] = {}
        sources = {
            key: Source(
                key, folder / file, request.charsets.get(key, ""), partial, key in request.outlines, noted=noted
            )
            for key, file in request.inputs.items()
        }
        for source in sources.values():
            check_no_page(source, _source_text(message, source.field))
        codec = self._codec(request.codec)
        check_options(message)
        given = (sources, folder, request.result, codec, request.threads, self.fonts)
        context = PlanContext(
            *given,
            workers=request.workers,
            lanes=request.lanes,
            is_watched=request.is_watched,
            plan_only=request.plan_only,
            composes=request.composes,
            asks=request.asks,
        )
        plan = make(message, context)
        self._plans.append((plan, Path(request.result)))
        return PlanData(
            runs=tuple(to_data(run) if isinstance(run, FfmpegRun) else None for run in plan.runs),
            field=plan.field,
            codec=plan.codec,
            duration_seconds=plan.duration_seconds,
            frames_total=plan.frames_total,
            warnings=tuple(warning.SerializeToString() for warning in plan.warnings),
            streamable=plan.streamable,
            content_type=plan.content_type,
            files=tuple(FileData(file.name, file.content_type) for file in plan.files),
            font_tiers=self.fonts.tiers_read,
            further=tuple(task.SerializeToString() for task in plan.further),
            scenes=tuple(scene.SerializeToString() for scene in plan.scenes),
            size=(plan.size.width, plan.size.height) if plan.size is not None else (0, 0),
            reports=plan.report is not None,
            progress=plan.progress,
            finishes=plan.changes_result,
            # Of a part the inputs are those that its planner knew, or pieces of them.
            inputs=() if request.part else tuple(fact.SerializeToString() for fact in noted.values()),
            wanted=tuple((name, tuple(ranges)) for name, ranges in plan.wanted),
        )

    def _codec(self, name: str) -> Codec:
        if name == Nvenc.name:
            return Nvenc(WorkerClient(self.settings.nvenc), waits=True, decodes=False)
        return X264(self.settings.x264_preset, self.settings.crf)


def _operation(data: bytes) -> tuple[Operation, Message]:
    operation = video_pb2.Operation.FromString(data)
    name = operation.WhichOneof("kind") or ""
    if name not in OPERATIONS:
        text = f"This encoder does not know the operation '{name}'; it knows {', '.join(OPERATIONS)}."
        raise Unimplemented(text, reason="UNKNOWN_OPERATION")
    return OPERATIONS[name], getattr(operation, name)


def _story_part(data: bytes) -> tuple[Operation, Message]:
    part = story_pb2.StoryPart.FromString(data)
    name = part.WhichOneof("kind") or ""
    if name not in STORY_PARTS:
        text = "This encoder does not know a part of the story that another one planned; use encoders of one version."
        raise Unimplemented(text, reason="UNKNOWN_PART")
    return STORY_PARTS[name], getattr(part, name)


def _source_text(message: Message, path: str) -> str:
    """Return what a request gives as a source, by the path of its field ("scenes[7].image_url"; "images.image_url" in a
    batch, of which a task has but one element); "" where there is none."""
    value: Any = message
    for part in path.split("."):
        name, _, index = part.rstrip("]").partition("[")
        value = getattr(value, name, "")
        if not isinstance(value, str | Message):
            value = value[int(index or 0)] if len(value) > int(index or 0) else ""
    return value if isinstance(value, str) else ""


def serve(channel: socket.socket, session: PlanningSession) -> None:
    """Answer the requests that come over the channel, until it is closed."""

    def send(reply: PlannerReply) -> None:
        channel.sendall(pack(reply))

    on_reading(lambda name: send(PlannerReply(reading=name)))
    for request in iter_messages(channel, PlannerRequest):
        send(replace(_answer(session, request), cpu_seconds=round(time.process_time(), 3)))


def _answer(session: PlanningSession, request: PlannerRequest) -> PlannerReply:
    try:
        return session.answer(request)
    except ServiceError as error:
        return PlannerReply(status=error.to_status().SerializeToString())
    except MemoryError:
        return PlannerReply(out_of_memory=True)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return PlannerReply(is_disk_full=True)
        return PlannerReply(traceback=traceback.format_exc()[-MAX_TRACEBACK_CHARS:])


def main(channel: str, settings: str) -> None:
    """Plan one task."""
    known = from_json(PlanningSettings, settings.encode())
    library = FontLibrary(Path(known.fonts_dir) if known.fonts_dir else None)
    with socket.socket(fileno=int(channel)) as connected:
        serve(connected, PlanningSession(known, library))
