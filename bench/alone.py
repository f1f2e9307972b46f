"""Operations on files of this machine, by the encoder's own code and in its sandbox, without gateway and network: what
a command is to be held against that has its files at hand too."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.tasks.executor import Work, open_executor
from encoder.tasks.results import ResultStream


def alone(
    operation: str, requests: Sequence[tuple[Any, Mapping[str, Path]]], folder: Path
) -> list[encoder_pb2.Summary]:
    """Summaries of requests: `encode_seconds` from inputs in place to the result in place, with x264, as many at once
    as an encoder takes by default. The inputs must lie on the disk of `folder`."""
    return asyncio.run(_alone(operation, requests, folder))


async def _alone(
    operation: str, requests: Sequence[tuple[Any, Mapping[str, Path]]], folder: Path
) -> list[encoder_pb2.Summary]:
    async with open_executor(EncoderSettings(codec="x264", work_dir=folder / "alone")) as executor:
        turns = asyncio.Semaphore(executor.slots.total)

        async def one(request: Any, inputs: Mapping[str, Path]) -> encoder_pb2.Summary:
            task = encoder_pb2.Task(operation=video_pb2.Operation(**{operation: request}))
            async with turns, executor.reserve(task) as own:
                sources = _placed(inputs, own.folder.path)
                work = Work(task, sources, own, _unheard, ResultStream(_unsent, _unsent))
                return await executor.run(work)

        return await asyncio.gather(*(one(request, inputs) for request, inputs in requests))


def _placed(inputs: Mapping[str, Path], folder: Path) -> dict[str, Source]:
    sources = {}
    for number, (field, path) in enumerate(inputs.items()):
        sources[field] = Source(field, folder / f"input{number}")
        sources[field].path.hardlink_to(path)
    return sources


async def _unheard(_: encoder_pb2.EncodeProgress) -> None:
    """Progress is of no interest here."""


async def _unsent(_: object) -> None:
    """The result stays where it is."""
