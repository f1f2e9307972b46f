"""An encoder as a process of its own, and a client that speaks to it as a gateway does."""

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import grpc
import psutil

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from apigpu.v1 import video_pb2
from encoder.sandbox.launcher import PRELOAD
from servicekit.chunks import CHUNK_BYTES
from servicekit.server import OPTIONS
from servicekit.tls import Identity

START_SECONDS = 30
FORK_SERVER, LAUNCH_SERVER = "encoder.planning.fork_server", "encoder.sandbox.launch_server"
SPARE, SAMPLE, WAITING = "planner-spare", "planner-sample", "encode-spare"
NOTHING: Mapping[str, object] = {}
Job = video_pb2.Operation | encoder_pb2.Task
"""What a task is to do: an operation; or a task without its inputs."""


@dataclass
class Encoder:
    """A running encoder; `lines` are the events of its log so far."""

    process: subprocess.Popen[str]
    port: int
    health_port: int
    work_dir: Path
    certs: Path
    lines: list[dict[str, object]]

    def task_folders(self) -> list[Path]:
        """Work folders of tasks that exist now."""
        return list(self.work_dir.glob("task-*"))

    def children(self) -> list[psutil.Process]:
        """FFmpeg processes that it runs now, and the worker of a codec; what plans is apart, and what was started
        ahead."""
        started = self._started()
        at_work = [one for one in started if not is_ahead(one)]
        around = [one for process in at_work for one in parents(process)]
        return [one for one in started if one in (*at_work, *around)]

    def waiting(self) -> list[psutil.Process]:
        """The FFmpeg that waits for the next task, and the sandbox around it."""
        started = self._started()
        inner = [one for one in started if name_of(one) == WAITING]
        around = [one for process in inner for one in parents(process)]
        return [one for one in started if one in (*inner, *around)]

    def fork_server(self) -> psutil.Process:
        """The process that forks those that plan."""
        (found,) = [one for one in self._serving() if words(one.parent()) != words(one)]
        return found

    def launch_server(self) -> psutil.Process:
        """The process that starts FFmpeg."""
        serving = [one for one in self._descendants() if LAUNCH_SERVER in words(one)]
        (found,) = [one for one in serving if words(one.parent()) != words(one)]  # beside what it has forked ahead
        return found

    def planners(self) -> list[psutil.Process]:
        """Processes that plan a task now."""
        return [one for one in self._forked() if name_of(one) not in (SPARE, SAMPLE)]

    def spares(self) -> list[psutil.Process]:
        """The process that waits for the next task, if there is one, and has planned its sample."""
        return [one for one in self._forked() if name_of(one) == SPARE]

    def _started(self) -> list[psutil.Process]:
        servers = {FORK_SERVER, LAUNCH_SERVER}
        return [process for process in self._descendants() if servers.isdisjoint(words(process))]

    def _forked(self) -> list[psutil.Process]:
        return [one for one in self._serving() if words(one.parent()) == words(one)]

    def _serving(self) -> list[psutil.Process]:
        return [process for process in self._descendants() if FORK_SERVER in words(process)]

    def _descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    @contextlib.asynccontextmanager
    async def client(self, certificate: str = "gateway", address: str = "localhost") -> AsyncIterator["Client"]:
        """A client with one of the certificates of the set."""
        identity = Identity.read(
            self.certs / f"{certificate}.crt", self.certs / f"{certificate}.key", self.certs / "ca.crt"
        )
        target = f"{address}:{self.port}"
        async with grpc.aio.secure_channel(target, identity.channel_credentials(), options=OPTIONS[:2]) as channel:
            yield Client(encoder_pb2_grpc.EncoderServiceStub(channel))


def name_of(process: psutil.Process) -> str:
    """The name of a process; none of one that has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def is_ahead(process: psutil.Process) -> bool:
    """Whether it is an FFmpeg that was started ahead and told nothing yet, which has one thread; or, as far as that can
    be seen, a sandbox around such a one, also while it works."""
    try:
        return (PRELOAD in process.environ() or PRELOAD in process.cmdline()) and process.num_threads() == 1
    except psutil.Error:
        return False


def parents(process: psutil.Process) -> list[psutil.Process]:
    """What a process descends from; nothing where it has ended."""
    try:
        return process.parents()
    except psutil.NoSuchProcess:
        return []


def words(process: psutil.Process | None) -> list[str]:
    """The command line of a process; none of one that has ended."""
    try:
        return process.cmdline() if process is not None else []
    except psutil.Error:
        return []


@dataclass
class Done:
    """What came back of a task."""

    data: bytearray = field(default_factory=bytearray)
    progress: list[encoder_pb2.EncodeProgress] = field(default_factory=list)
    summary: encoder_pb2.Summary | None = None
    files: dict[str, bytearray] = field(default_factory=dict)


@dataclass
class Client:
    """Sends tasks."""

    stub: Any  # the generated stub is typed for channels that block
    metadata: tuple[tuple[str, str], ...] = ()

    async def encode(
        self, operation: Job, inputs: Mapping[str, Path | bytes], timeout_seconds: float | None = None
    ) -> Done:
        """Run one task to its end; raises AioRpcError. The result is checked against its summary."""
        done = Done()
        accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        call = self.stub.Encode(requests(operation, inputs, accepted), metadata=self.metadata, timeout=timeout_seconds)
        try:
            accepted.set_result("x-accepted" in await call.initial_metadata())
            coming = done.data
            async for response in call:
                match response.WhichOneof("part"):
                    case "progress":
                        done.progress.append(response.progress)
                    case "chunk":
                        coming += response.chunk
                    case "file":
                        coming = done.files.setdefault(response.file.name, bytearray())
                    case "summary":
                        done.summary = response.summary
        finally:
            call.cancel()  # one that is left while it waits for metadata would stay open
        assert done.summary is not None
        assert done.summary.size_bytes == len(done.data)
        assert done.summary.sha256 == (hashlib.sha256(done.data).hexdigest() if done.summary.content_type else "")
        assert [file.name for file in done.summary.files] == list(done.files)
        for file in done.summary.files:
            assert file.sha256 == hashlib.sha256(done.files[file.name]).hexdigest()
        return done

    async def result(self, path: Path, operation: Job, inputs: Mapping[str, Path | bytes]) -> encoder_pb2.Summary:
        """Run one task and write its result to `path`."""
        done = await self.encode(operation, inputs)
        path.write_bytes(done.data)
        assert done.summary is not None
        return done.summary

    async def capabilities(self) -> encoder_pb2.GetCapabilitiesResponse:
        """Ask what it can do."""
        request = encoder_pb2.GetCapabilitiesRequest()
        found: encoder_pb2.GetCapabilitiesResponse = await self.stub.GetCapabilities(request, metadata=self.metadata)
        return found


async def requests(
    operation: Job, inputs: Mapping[str, Path | bytes], accepted: Awaitable[bool]
) -> AsyncIterator[encoder_pb2.EncodeRequest]:
    """The messages of a task, as a gateway sends them: the inputs once the task is accepted."""
    contents = [data if isinstance(data, bytes) else data.read_bytes() for data in inputs.values()]
    announced = []
    for names, data in zip(inputs, contents, strict=True):  # several names, with blanks between, share one input
        name, *also = names.split()
        announced.append(encoder_pb2.Input(field=name, size_bytes=len(data), also=also))
    task = operation if isinstance(operation, encoder_pb2.Task) else encoder_pb2.Task(id="t", operation=operation)
    task.inputs.extend(announced)
    yield encoder_pb2.EncodeRequest(task=task)
    if not await accepted:
        return
    for index, data in enumerate(contents):
        for start in range(0, len(data), CHUNK_BYTES):
            chunk = encoder_pb2.InputChunk(input=index, data=data[start : start + CHUNK_BYTES])
            yield encoder_pb2.EncodeRequest(chunk=chunk)
        end = encoder_pb2.InputEnd(input=index, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        yield encoder_pb2.EncodeRequest(input_end=end)


def environment(certs: Path, folder: Path, settings: Mapping[str, object] = NOTHING) -> dict[str, str]:
    """The environment of an encoder that keeps to `folder`; `settings` win."""
    values = {
        "HOST": "127.0.0.1",
        "PORT": 0,
        "HEALTH_PORT": 0,
        "METRICS_PORT": 0,
        "WORK_DIR": folder / "work",
        "LOGS_DIR": folder / "logs",
        "TLS_CERT": certs / "encoder.crt",
        "TLS_KEY": certs / "encoder.key",
        "TLS_CA": certs / "ca.crt",
        **settings,
    }
    inherited = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
    return inherited | {key: str(value) for key, value in values.items()}


@contextlib.contextmanager
def running(certs: Path, folder: Path, settings: Mapping[str, object] = NOTHING) -> Iterator[Encoder]:
    """`python -m encoder`, serving; killed at the end when it is still there."""
    environ = environment(certs, folder, settings)
    with subprocess.Popen([sys.executable, "-m", "encoder"], env=environ, stderr=subprocess.PIPE, text=True) as process:
        lines: list[dict[str, object]] = []
        arrived: Queue[dict[str, object]] = Queue()
        reader = threading.Thread(target=_read, args=(process, lines, arrived), daemon=True)
        reader.start()
        try:
            event = _await(arrived, "serving")
            yield Encoder(
                process,
                int(str(event["port"])),
                int(str(event["health_port"])),
                Path(environ["WORK_DIR"]),
                certs,
                lines,
            )
        finally:
            process.kill()
            reader.join()


def _read(process: subprocess.Popen[str], lines: list[dict[str, object]], arrived: Queue[dict[str, object]]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        try:
            event = json.loads(line)
        except ValueError:
            event = {"event": line.strip()}
        lines.append(event)
        arrived.put(event)


def _await(arrived: Queue[dict[str, object]], name: str) -> dict[str, object]:
    seen = []
    with contextlib.suppress(Empty):
        while True:
            event = arrived.get(timeout=START_SECONDS)
            seen.append(event)
            if event.get("event") == name:
                return event
    raise AssertionError(f"no '{name}' in {seen}")
