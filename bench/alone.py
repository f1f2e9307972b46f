"""Operations on files of this machine, by the encoder's own code and in its sandbox, without gateway and network: what
a command is to be held against that has its files at hand too."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encoder.captions.fonts import Library
from encoder.config import EncoderSettings
from encoder.operations.plan import Source
from encoder.server import capabilities
from encoder.tasks.result_stream import ResultStream
from encoder.tasks.runner import Runner, Step, Work
from encoder.tasks.slots import Slots
from encoder.tasks.workspace import TaskFolder


def alone(operation: str, requests: Sequence[tuple[Any, Mapping[str, Path]]], folder: Path) -> list[float]:
    """Seconds of each request, from its inputs in place to its result in place, with x264: as many at once as an
    encoder takes by default. The inputs must lie on the disk of `folder`."""
    return asyncio.run(_alone(operation, requests, folder))


async def _alone(operation: str, requests: Sequence[tuple[Any, Mapping[str, Path]]], folder: Path) -> list[float]:
    settings = EncoderSettings(codec="x264")
    slots, turns = Slots(settings.batch_size), asyncio.Semaphore(settings.batch_size)
    async with capabilities.found(settings) as found:
        runner = Runner(found.ffmpeg, found.candidates("x264"), Library(None), settings.max_duration_seconds)

        async def one(request: Any, inputs: Mapping[str, Path]) -> float:
            async with turns:
                with slots.taken(), tempfile.TemporaryDirectory(dir=folder) as own:
                    place = TaskFolder(Path(own), Path(own) / "result.mp4")
                    sources = _placed(inputs, place.folder)
                    work = Work(operation, request, sources, place, slots.threads)
                    return (await runner.run(work, _unheard, ResultStream(_unsent))).encode_seconds

        return await asyncio.gather(*(one(request, inputs) for request, inputs in requests))


def _placed(inputs: Mapping[str, Path], folder: Path) -> dict[str, Source]:
    sources = {}
    for number, (field, path) in enumerate(inputs.items()):
        sources[field] = Source(field, folder / f"input{number}")
        sources[field].path.hardlink_to(path)
    return sources


async def _unheard(_: Step) -> None:
    """Progress is of no interest here."""


async def _unsent(_: bytes) -> None:
    """The result stays where it is."""
