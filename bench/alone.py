"""Operations on files of this machine, by the encoder's own code and in its sandbox, without gateway and network: what
a command is to be held against that has its files at hand too."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encoder.captions.fonts import FontLibrary
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.tasks import capabilities
from encoder.tasks.executor import Slots
from encoder.tasks.results import ResultStream, TaskProgress
from encoder.tasks.runner import Runner, Work
from encoder.tasks.workspace import TaskFolder


def alone(operation: str, requests: Sequence[tuple[Any, Mapping[str, Path]]], folder: Path) -> list[float]:
    """Seconds of each request, from its inputs in place to its result in place, with x264: as many at once as an
    encoder takes by default. The inputs must lie on the disk of `folder`."""
    return asyncio.run(_alone(operation, requests, folder))


async def _alone(operation: str, requests: Sequence[tuple[Any, Mapping[str, Path]]], folder: Path) -> list[float]:
    settings = EncoderSettings(codec="x264")
    slots, turns = Slots(settings.batch_size), asyncio.Semaphore(settings.batch_size)
    async with capabilities.detect(settings) as detected:
        runner = Runner(
            detected.ffmpeg, detected.codec_choices("x264"), FontLibrary(None), settings.max_duration_seconds
        )

        async def one(request: Any, inputs: Mapping[str, Path]) -> float:
            async with turns:
                with slots.hold(), tempfile.TemporaryDirectory(dir=folder) as own:
                    place = TaskFolder(Path(own), Path(own) / "result.mp4")
                    sources = _placed(inputs, place.path)
                    work = Work(operation, request, sources, place, slots.threads)
                    return (await runner.run(work, _unheard, ResultStream(_unsent))).encode_seconds

        return await asyncio.gather(*(one(request, inputs) for request, inputs in requests))


def _placed(inputs: Mapping[str, Path], folder: Path) -> dict[str, Source]:
    sources = {}
    for number, (field, path) in enumerate(inputs.items()):
        sources[field] = Source(field, folder / f"input{number}")
        sources[field].path.hardlink_to(path)
    return sources


async def _unheard(_: TaskProgress) -> None:
    """Progress is of no interest here."""


async def _unsent(_: bytes) -> None:
    """The result stays where it is."""
