"""Inputs of a task, from the stream to files. Nothing is used that was not announced, counted and digested."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from apigpu.encoder.v1 import encoder_pb2
from encoder.media.files import open_regular
from encoder.media.info import Source
from encoder.tasks.metrics import count_received
from servicekit import media_types
from servicekit.chunk_messages import ChunkMessage, Received
from servicekit.chunks import Checksum, Data
from servicekit.errors import DataLoss, InvalidArgument, ResourceExhausted, ServiceError
from servicekit.tasks import run_to_completion

DISCARD_SECONDS = 2.0

CheckRoom = Callable[[], None]
REQUEST = ChunkMessage(encoder_pb2.EncodeRequest, "chunk", "data")
Requests = AsyncIterator[Received[encoder_pb2.EncodeRequest]]


class InputSpool:
    """Writes one input to its file, or more of one that `is_there`, in whose place a process that plans may have put
    something else. Its methods block: call them off the event loop."""

    def __init__(
        self, path: Path, field: str, max_bytes: int, check_room: CheckRoom = lambda: None, *, is_there: bool = False
    ) -> None:
        self._file = open_regular(path, to_write=True) if is_there else path.open("wb", buffering=0)
        self._checksum = Checksum()
        self._field = field
        self.has_hole = False
        self._max_bytes = max_bytes
        self._check_room = check_room

    def add(self, data: Data, offset: int = 0) -> None:
        """Write and digest the next bytes, of an outline at their offset: what is left out becomes a hole of the file,
        also at its end, where no bytes come.
        Raises ResourceExhausted over the limit, and what `check_room` raises, which is called before each write;
        OSError."""
        self._checksum.add(data)
        count_received(len(data))
        if offset > self._file.tell():
            self.has_hole = True
            self._file.seek(offset)
        check_size(self._field, self._file.tell() + len(data), self._max_bytes)
        self._check_room()
        if self.has_hole and not data:
            self._file.truncate(offset)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self, end: encoder_pb2.InputEnd) -> None:
        """Compare what came with what was announced. Raises DataLoss."""
        if not end.sha256:
            raise DataLoss(f"{self._field}: the end of the input has no SHA-256.", reason="DIGEST_MISSING")
        self._checksum.verify(self._field, size_bytes=end.size_bytes, sha256=end.sha256)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def read_task(requests: Requests) -> encoder_pb2.Task:
    """Return the task that opens a stream. Raises InvalidArgument when the first message is something else."""
    async for request, _ in requests:
        if request.WhichOneof("part") != "task":
            break
        return request.task
    raise InvalidArgument("The first message must be a task.")


async def receive(
    requests: Requests,
    inputs: Sequence[encoder_pb2.Input],
    folder: Path,
    max_bytes: int,
    check_room: CheckRoom = lambda: None,
) -> dict[str, Source]:
    """Spool every input into `folder`, named input0, input1, …; by field. The end of the stream alone proves nothing:
    raises DataLoss for an input without its end, a wrong size or digest; ResourceExhausted over `max_bytes`."""
    paths = [folder / f"input{index}" for index in range(len(inputs))]
    charsets, holes, digests = [], [], []
    try:
        for index, item in enumerate(inputs):
            spool = InputSpool(paths[index], item.field, max_bytes, check_room)
            end = await _spool_input(requests, index, spool, may_have_holes=item.is_outline)
            charsets.append(end.charset)
            holes.append(spool.has_hole)
            digests.append("" if spool.has_hole else end.sha256)
    except (ServiceError, OSError):
        # A client of grpc.aio whose write meets an ended call reports an internal error in place of the status that it
        # was sent: what it still sends is read for a while.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                async for _ in requests:
                    pass
        raise
    return by_field(inputs, paths, charsets, holes, digests)


async def take_small(
    task: encoder_pb2.Task, folder: Path, max_bytes: int, check_room: CheckRoom = lambda: None
) -> dict[str, Source]:
    """Write the inputs that came with their task into `folder`, and out of the message; by field. Raises what `receive`
    raises, and InvalidArgument where they are not those that the task names."""
    if len(task.small_inputs) != len(task.inputs):
        raise InvalidArgument("The task comes with other inputs than it names.")
    paths = [folder / f"input{index}" for index in range(len(task.inputs))]

    def write() -> None:
        for path, item, small in zip(paths, task.inputs, task.small_inputs, strict=True):
            with contextlib.closing(InputSpool(path, item.field, max_bytes, check_room)) as spool:
                spool.add(small.data)
                spool.finish(small.end)

    await run_to_completion(asyncio.to_thread(write))  # of a task that is cancelled the folder is to be empty
    charsets = [small.end.charset for small in task.small_inputs]
    digests = [small.end.sha256 for small in task.small_inputs]
    task.ClearField("small_inputs")
    return by_field(task.inputs, paths, charsets, [False] * len(paths), digests)


async def receive_more(
    requests: Requests,
    index: int,
    source: Source,
    max_bytes: int,
    check_room: CheckRoom = lambda: None,
) -> None:
    """Write more of an input, that with this index, into its file. Raises what `receive` raises."""
    spool = InputSpool(source.path, source.field, max_bytes, check_room, is_there=True)
    await _spool_input(requests, index, spool, may_have_holes=True)


def by_field(
    inputs: Sequence[encoder_pb2.Input],
    paths: Sequence[Path],
    charsets: Sequence[str],
    holes: Sequence[bool],
    digests: Sequence[str],
) -> dict[str, Source]:
    """Return the sources by the paths of their fields, for inputs that lie in files; several fields may share one."""
    return {
        field: Source(field, path, media_types.known_name(charset), is_outline=has_hole, sha256=digest)
        for item, path, charset, has_hole, digest in zip(inputs, paths, charsets, holes, digests, strict=True)
        for field in (item.field, *item.also)
    }


def check_size(field: str, size_bytes: int, max_bytes: int) -> None:
    """Raise ResourceExhausted (reason INPUT_TOO_LARGE) for an input over the limit."""
    if size_bytes > max_bytes:
        raise ResourceExhausted(
            f"{field}: the file is larger than the {max_bytes} bytes that this encoder takes; send a smaller one.",
            reason="INPUT_TOO_LARGE",
            fields={field: f"is larger than {max_bytes} bytes"},
        )


async def _spool_input(
    requests: Requests, index: int, spool: InputSpool, *, may_have_holes: bool
) -> encoder_pb2.InputEnd:
    """Write one input to its file, and return what was said at its end."""
    # One chunk is written and digested on a thread while the next one is read from the network.
    writing: asyncio.Future[None] | None = None
    loop = asyncio.get_running_loop()
    try:
        async for request, data in requests:
            part = request.WhichOneof("part")
            if part == "task" or part is None or getattr(request, part).input != index:
                raise InvalidArgument(f"Input {index} is due; chunks and ends must come in the order of `inputs`.")
            if writing is not None:
                await writing
                writing = None
            if part == "input_end":
                spool.finish(request.input_end)
                return request.input_end
            offset = request.chunk.offset if may_have_holes else 0
            writing = loop.run_in_executor(None, spool.add, data, offset)
            del data  # while the next one is awaited
        raise DataLoss(f"The stream ended before input {index} was whole; send the task again.", reason="CUT_OFF")
    finally:
        if writing is not None:
            await asyncio.shield(asyncio.gather(writing, return_exceptions=True))
        spool.close()
