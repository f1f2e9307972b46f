"""Drafts of jobs, for dry runs: requests without what is wrong with them, and looks at what they name."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from apigpu.v1 import video_pb2
from gateway.jobs import graph, operation
from gateway.jobs.model import Failure, Job
from gateway.sources import Source, inline
from gateway.sources.prefetch import Prefetcher
from servicekit.chunks import CHUNK_BYTES
from servicekit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
)
from servicekit.faults import Faults
from servicekit.tasks import cancel_and_wait

OpenSource = Callable[[], AbstractAsyncContextManager[Source]]

# What a dry run reads of a stored file that must be read from its beginning to its end; of others as much as is held
# beforehand for tasks.
MAX_WHOLE_BYTES = 64 * 1024 * 1024
TOO_LARGE = "DRY_RUN_TOO_LARGE"
LOOK_SECONDS = 15.0
LOOKS_AT_ONCE = 8
MAX_FAULTS = 50
INPUT_MISSING = "INPUT_MISSING"
PART = re.compile(r"([^.\[\]]+)(?:\[(\d{1,6})\])?")
# What another try does not mend.
FAULTS = (InvalidArgument, FailedPrecondition, NotFound, PermissionDenied, ResourceExhausted)


@dataclass
class FaultList:
    """All that is wrong with a request, each thing once, MAX_FAULTS at most."""

    errors: list[ServiceError] = field(default_factory=list)

    @contextlib.contextmanager
    def gathering(self, path: str = "") -> Iterator[None]:
        """Keep the fault of the caller that the block raises; `path` is its field, where it names none."""
        try:
            yield
        except FAULTS as error:
            self.add(InvalidArgument.field(path, error.message, reason=error.reason) if path else error)

    def add(self, error: ServiceError) -> None:
        """Keep a fault, unless it is known."""
        known = {(other.message, tuple(other.fields)) for other in self.errors}
        if len(self.errors) < MAX_FAULTS and (error.message, tuple(error.fields)) not in known:
            self.errors.append(error)

    @property
    def fields(self) -> list[str]:
        """The paths of the fields at fault."""
        return [name for error in self.errors for name in error.fields]

    def failure(self) -> Failure | None:
        """Return one failure of all faults; None without one."""
        faults = Faults()
        for error in self.errors:
            faults.add(error)
        return _failure(found) if (found := faults.error()) is not None else None

    def failures(self) -> tuple[Failure, ...]:
        """Return the faults as jobs have them."""
        return tuple(map(_failure, self.errors))


def _failure(error: ServiceError) -> Failure:
    return Failure(error.number, error.message, error.reason, tuple(error.fields.items()))


def input_paths(wanted: video_pb2.Operation) -> Iterator[tuple[str, str]]:
    """Yield path and text of the sources of a request, those of a batch with their number."""
    message = operation.kind(wanted)[1]
    batch, elements = operation.batch_of(message)
    for path, source in operation.inputs(message):
        if not batch or not path.startswith(f"{batch}."):
            yield path, source
    for index, element in enumerate(elements):
        yield from operation.inputs(element, f"{batch}[{index}].")


def files(wanted: video_pb2.Operation) -> Iterator[tuple[str, str]]:
    """Yield path and text of the sources of a request, but for results of its own steps."""
    is_graph = graph.is_graph(wanted)
    return (found for found in input_paths(wanted) if not (is_graph and graph.is_reference(found[1])))


def clear(message: Message, path: str) -> None:
    """Clear the field of a path ("style.size", "images[3].motion.zoom", "url_videos[2]"); nothing where it leads
    nowhere."""
    owner: Any = message
    parts = [(found[1], found[2]) for found in PART.finditer(path)]
    for number, (name, index) in enumerate(parts):
        known = {one.name: one for one in owner.DESCRIPTOR.fields} | {f.json_name: f for f in owner.DESCRIPTOR.fields}
        one = known.get(name)
        if one is None:
            return
        value, is_last = getattr(owner, one.name), number == len(parts) - 1
        if one.is_repeated and index and int(index) < len(value):
            if is_last and one.message_type is None and isinstance(value[int(index)], str):
                value[int(index)] = ""
            value = value[int(index)]
        elif is_last:
            owner.ClearField(one.name)
        if not isinstance(value, Message):
            return
        owner = value


@dataclass(frozen=True)
class RequestPlace:
    """Where a task stands in a request: what its fields are called there."""

    message: Message
    batch: str = ""
    prefix: str = ""

    @classmethod
    def of(cls, wanted: video_pb2.Operation, job: Job, index: int) -> "RequestPlace":
        """Return the place of a task: an element of a batch, a step of a chain, or the request itself."""
        _, message = operation.kind(wanted)
        if graph.is_graph(wanted):
            item = job.tasks[index].item.partition("[")[0]
            number = next((n for n, step in enumerate(getattr(message, "steps", ())) if step.id == item), 0)
            return cls(message, prefix=f"steps[{number}].{job.kind(index)}.")
        batch, elements = operation.batch_of(message)
        return cls(elements[index], batch, f"{batch}[{index}].") if elements else cls(message)

    def name(self, path: str) -> str:
        """Return the name of a field of the task in the request."""
        if self.batch:
            own = path.removeprefix(f"{self.batch}.")
            is_own = own != path or own.partition(".")[0] in self.message.DESCRIPTOR.fields_by_name
            return self.prefix + own if is_own else path
        return self.prefix + path

    def about(self, paths: Sequence[str], error: ServiceError) -> ServiceError:
        """Return the error of a source, with the names of all its fields."""
        names = [self.name(path) for path in paths]
        return type(error)(
            f"{names[0]}: {error.message}", reason=error.reason, fields=dict.fromkeys(names, error.message)
        )

    def renamed(self, error: ServiceError, *, is_partial: bool = False) -> ServiceError | None:
        """Return an error with the names that its fields have in the request; None where all it says is that inputs are
        missing, which are known to be."""
        told = {self.name(path): text for path, text in error.fields.items() if text != "is missing"}
        if error.fields and not told and is_partial:
            return None
        text = error.message if len(told) == len(error.fields) else "; ".join(f"{n}: {t}" for n, t in told.items())
        if self.prefix and told:
            text = "; ".join(f"{name}: {why}" for name, why in told.items())
        return type(error)(text, reason="" if error.reason == INPUT_MISSING else error.reason, fields=told)


@dataclass(frozen=True)
class SourceLook:
    """What a look at a source found: how it is opened; or the `error` by which it cannot be, or why that is
    `unknown`."""

    open: OpenSource | None = None
    is_outline: bool = False
    error: ServiceError | None = None
    unknown: str = ""


@dataclass(eq=False)
class SourceLooks:
    """Looks at the sources of a request, each once. What must be downloaded is held before a slot of an encoder is
    needed, so that a slow origin holds none; the `stack` lets go of it."""

    prefetcher: Prefetcher
    tenant: str
    stack: contextlib.AsyncExitStack
    _looks: dict[tuple[str, bool], "asyncio.Task[SourceLook]"] = field(default_factory=dict, init=False)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKS_AT_ONCE), init=False)

    async def all(self, sources: Iterable[str], *, whole: bool = False) -> Sequence[SourceLook]:
        """Return what is found, in the order of the sources; where it is not to be `whole`, large ones by their
        ends."""
        keys = [(source, whole) for source in sources]
        for key in keys:
            if key not in self._looks:
                self._looks[key] = asyncio.create_task(self._look(*key))
        return [await asyncio.shield(self._looks[key]) for key in keys]

    async def close(self) -> None:
        """End the looks that go on."""
        await cancel_and_wait(*self._looks.values())

    async def _look(self, source: str, whole: bool) -> SourceLook:
        try:
            async with self._turns, asyncio.timeout(LOOK_SECONDS):
                return await (self._hold if self._is_remote(source) else self._check)(source, whole)
        except TimeoutError:
            return SourceLook(unknown=f"it did not come within {LOOK_SECONDS:g} s")
        except FAULTS as error:
            return SourceLook(unknown=error.message) if error.reason == TOO_LARGE else SourceLook(error=error)
        except ServiceError as error:
            return SourceLook(unknown=error.message)

    def _is_remote(self, source: str) -> bool:
        return not inline.is_inline(source) and self.prefetcher.is_remote(source)

    async def _check(self, source: str, whole: bool) -> SourceLook:
        """Look at a file that is here."""
        async with self._open(source, whole) as opened:
            if not opened.holes:
                _check_size(opened.size_bytes or 0, MAX_WHOLE_BYTES)
            return SourceLook(lambda: self._open(source, whole), bool(opened.holes))

    async def _hold(self, source: str, whole: bool) -> SourceLook:
        """Download a source."""
        async with contextlib.AsyncExitStack() as own:
            held = await self.prefetcher.fetch(lambda: self._open(source, whole), own)
            if held.rest is not None:
                raise _too_large(self.prefetcher.max_small_bytes)
            self.stack.push_async_exit(own.pop_all())
        turn = asyncio.Lock()  # it is read from one place

        @asynccontextmanager
        async def opened() -> AsyncIterator[Source]:
            async with turn, held.open() as anew:
                yield anew

        return SourceLook(opened, bool(held.source.holes))

    @asynccontextmanager
    async def _open(self, source: str, whole: bool) -> AsyncIterator[Source]:
        """Open a source, of a large one its ends."""
        if inline.is_inline(source):
            yield await asyncio.to_thread(_inline_source, source)
            return
        sources = self.prefetcher.sources
        async with (sources.open if whole else sources.open_outline)(source, self.tenant) as opened:
            yield opened


def _inline_source(text: str) -> Source:
    file = inline.parse(text)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(file.data), CHUNK_BYTES):
            yield file.data[start : start + CHUNK_BYTES]

    return Source(file.filename, len(file.data), chunks, file.charset)


def _check_size(size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise _too_large(most_bytes)


def _too_large(most_bytes: int) -> ResourceExhausted:
    text = f"it must be read whole, and a dry run reads no more than {most_bytes >> 20} MiB of such a file"
    return ResourceExhausted(text, reason=TOO_LARGE)
