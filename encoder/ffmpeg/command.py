"""Passes: the FFmpeg runs that a plan is made of."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from encoder.ffmpeg.errors import CUT_OFF


class Writer(Protocol):
    """Writes to the standard input of a run, beside it."""

    reading: int
    """File descriptor for the run to read from."""

    def start(self) -> None:
        """The run has its end: begin to write."""
        ...

    async def finish(self) -> bool:
        """Wait until all is written, or the run takes no more: then False. Raises what kept it from writing."""
        ...

    async def close(self) -> None:
        """End it, at once. The run must be gone."""
        ...


class SideProcess(Protocol):
    """A run beside another one: killed with it."""

    async def end(self) -> None:
        """Wait for its end. Raises ServiceError when it failed, or took a file that was cut off for whole."""
        ...

    async def kill(self) -> None:
        """End it at once, if it has not ended."""
        ...


Spawn = Callable[["FfmpegRun", int], Awaitable[SideProcess]]
"""Starts a pass whose standard output is a file descriptor, where the others of the task run."""


@dataclass(frozen=True)
class FfmpegRun:
    """One FFmpeg run. `arguments` is all that follows the binary; `fields` are the inputs in FFmpeg's order, "" for one
    that is no field of the request; `cut_off_signs` is a pattern in the messages of a run that ends well although an
    input ends early. `stdin` opens what writes to its standard input. `devices` are device files that it may use."""

    arguments: tuple[str, ...]
    fields: tuple[str, ...]
    cut_off_signs: str = CUT_OFF
    stdin: "Stdin | None" = None
    devices: tuple[Path, ...] = ()


Stdin = Callable[[Spawn], Awaitable[Writer]]


def compiled(output: Any) -> tuple[str, ...]:
    """The arguments that an output of ffmpeg-python stands for."""
    return tuple(output.compile(cmd="")[1:])


def fields_of(arguments: tuple[str, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    """The fields of the inputs of a run, in FFmpeg's order; `names` tells the field of a file by its name."""
    return tuple(names.get(name, "") for option, name in pairwise(arguments) if option == "-i")
