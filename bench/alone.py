"""An operation on files of this machine, by the encoder's own code and in its sandbox, without gateway and network:
what a command is to be held against that has its files at hand too."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from encoder import capabilities
from encoder.config import EncoderSettings
from encoder.fonts import Library
from encoder.outlet import Outlet
from encoder.plan import Source
from encoder.runner import Runner, Step, Work
from encoder.workspace import TaskFolder


def alone(operation: str, request: Any, inputs: Mapping[str, Path], folder: Path) -> float:
    """Seconds from the inputs in place to the result in place, with x264."""
    return asyncio.run(_alone(operation, request, inputs, folder))


async def _alone(operation: str, request: Any, inputs: Mapping[str, Path], folder: Path) -> float:
    settings = EncoderSettings(codec="x264")
    sources = {}
    for number, (field, path) in enumerate(inputs.items()):
        (folder / f"input{number}").unlink(missing_ok=True)
        (folder / f"input{number}").hardlink_to(path)
        sources[field] = Source(field, folder / f"input{number}")
    async with capabilities.found(settings) as found:
        runner = Runner(found.ffmpeg, found.candidates("x264"), Library(None), settings.max_duration_seconds)
        place = TaskFolder(folder, folder / "result.mp4")
        result = await runner.run(Work(operation, request, sources, place, 3), _unheard, Outlet(_unsent))
    return result.encode_seconds


async def _unheard(_: Step) -> None:
    """Progress is of no interest here."""


async def _unsent(_: bytes) -> None:
    """The result stays where it is."""
