"""The processes that plan: forked by a warm server, or, where that cannot shut them in, started one by one in the
sandbox of FFmpeg."""

import asyncio
import contextlib
import importlib.util
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from encoder.captions.font_files import SYSTEM, bundled_folders
from encoder.planning.protocol import (
    MAX_PACKET_BYTES,
    ForkRequest,
    PlanningSettings,
    ServerReply,
    ServerRequest,
)
from encoder.sandbox import launcher
from encoder.sandbox.sandboxes import ProcessLimits, Sandbox, SandboxAccess, library_paths
from servicekit.codec import from_json, to_json
from servicekit.errors import Unavailable
from servicekit.process import child_environment, kill_group, module_command, spawn

log = structlog.get_logger("encoder")

START_SECONDS = 60.0
STOP_SECONDS = 5.0
LOST = -9
FORK_SERVER = "encoder.planning.fork_server"
# Python itself: that of a virtual environment is a link, which cannot be bound into a sandbox. Its paths are handed on.
PROGRAM = Path(sys.executable).resolve()
BOOT = """
import sys
sys.path[:0] = sys.argv.pop(1).split(":")
from encoder.planning.worker import main
main(*sys.argv[1:])
"""
# Libraries start threads for the whole machine as they are imported; and those of gRPC are not to run at a fork.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "GRPC_ENABLE_FORK_SUPPORT": "0"}
# What a Python program reads of itself while it runs.
PACKAGES = ("encoder", "servicekit", "apigpu")


@dataclass(frozen=True)
class PlanningProcess:
    """A process that plans: our end of its channel, its return code once it has ended (negative for a signal), and what
    kills it."""

    channel: socket.socket
    ended: "asyncio.Future[int]"
    kill: Callable[[], None]


class ProcessSource(Protocol):
    """Starts processes that plan."""

    async def start(self) -> None:
        """Get ready. Raises Unavailable."""

    async def open(self, limits: ProcessLimits, access: SandboxAccess) -> PlanningProcess:
        """Start a process within these limits, which sees `access` and no more. It takes requests at once. Raises
        Unavailable."""

    def prepare_fonts(self, tiers: int) -> None:
        """Have so many tiers of fonts ready for later processes."""

    async def aclose(self) -> None:
        """End all that it started."""


def process_source(settings: PlanningSettings, sandbox: Sandbox) -> ProcessSource:
    """Return the fork server where what it forks can be shut in as the sandbox is set, else the slower way."""
    is_linux = sys.platform == "linux"
    if is_linux and (sandbox.name == "none" or launcher.is_available()):
        return ForkServerClient(settings, is_confined=sandbox.name != "none")
    return SandboxedPrograms(settings, sandbox)


def own_paths(fonts_dir: str) -> tuple[Path, ...]:
    """Return what a process that plans reads of this machine: Python, its packages, ours, fonts."""
    found = [spec.submodule_search_locations or () for name in PACKAGES if (spec := importlib.util.find_spec(name))]
    ours = [Path(folder) for folders in found for folder in folders]
    installed = [Path(folder) for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    python = [Path(sys.prefix), Path(sys.base_prefix), *installed]
    fonts = [*bundled_folders(), *(Path(folder).expanduser() for folder in SYSTEM)]
    given = [Path(fonts_dir)] if fonts_dir else []
    return tuple(path for path in (*python, *ours, *fonts, *given) if path.exists())


class ForkServerClient:
    """The encoder's side of the fork server: starts it, asks it for processes, starts it anew when it is lost."""

    def __init__(self, settings: PlanningSettings, *, is_confined: bool) -> None:
        self._settings = settings
        self._is_confined = is_confined
        self._readable = tuple(map(str, (*library_paths(), *own_paths(settings.fonts_dir))))
        self._starting = asyncio.Lock()
        self._channel: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._living: dict[int, asyncio.Future[int]] = {}
        self._count = 0
        self._font_tiers = 0

    async def start(self) -> None:
        async with self._starting:
            if self._channel is None:
                await self._start_server()

    async def open(self, limits: ProcessLimits, access: SandboxAccess) -> PlanningProcess:
        await self.start()
        self._count += 1
        number = self._count
        near, far = socket.socketpair()
        request = ForkRequest(
            number=number,
            cpu_seconds=limits.cpu_seconds,
            memory_bytes=limits.memory_bytes,
            file_bytes=limits.file_bytes,
            is_confined=self._is_confined,
            readable=self._readable,
            writable=tuple(map(str, access.writable)),
        )
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._living[number] = ended
        with far:
            self._send(ServerRequest(fork=request), far.fileno())
        near.setblocking(False)
        return PlanningProcess(near, ended, lambda: self._kill(number))

    def prepare_fonts(self, tiers: int) -> None:
        if tiers > self._font_tiers:
            self._font_tiers = tiers
            self._send(ServerRequest(font_tiers=tiers))

    async def aclose(self) -> None:
        process, self._process = self._process, None  # which ends in its own time, once its channel is closed
        self._disconnect()
        if process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            kill_group(process)
        await asyncio.gather(*self._watchers)

    async def _start_server(self) -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(near.close)
            with far:
                process = await spawn(
                    module_command(FORK_SERVER, str(far.fileno()), to_json(self._settings).decode()),
                    env=child_environment(**ENVIRONMENT),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=(far.fileno(),),
                )
            on_failure.callback(kill_group, process)
            watcher = asyncio.create_task(_log_messages(process))
            self._watchers.add(watcher)
            watcher.add_done_callback(self._watchers.discard)
            await _await_ready(near)
            on_failure.pop_all()
        self._channel, self._process, self._font_tiers = near, process, 0
        asyncio.get_running_loop().add_reader(near.fileno(), self._receive)

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            log.warning("fork server lost", tasks=len(self._living))
            self._disconnect()
            return
        reply = from_json(ServerReply, data)
        future = self._living.pop(reply.ended, None) if reply.ended is not None else None
        if future is not None and not future.done():
            future.set_result(reply.return_code)

    def _kill(self, number: int) -> None:
        if number in self._living:
            self._send(ServerRequest(kill=number))

    def _send(self, request: ServerRequest, *descriptors: int) -> None:
        if self._channel is None:
            return
        try:
            socket.send_fds(self._channel, [to_json(request)], descriptors)
        except OSError as error:
            log.warning("fork server lost", tasks=len(self._living), error=str(error))
            self._disconnect()

    def _disconnect(self) -> None:
        """Close the channel, which ends the server and all that it forked."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
        self._channel = None
        if self._process is not None:
            kill_group(self._process)
        self._process = None
        for future in self._living.values():
            if not future.done():
                future.set_result(LOST)
        self._living.clear()


async def _await_ready(near: socket.socket) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            data = await asyncio.get_running_loop().sock_recv(near, MAX_PACKET_BYTES)
    except (OSError, TimeoutError):
        data = b""
    if not data:
        text = "The process that starts those that plan tasks has ended; try again. The encoder's log says why."
        raise Unavailable(text, reason="PLANNING_LOST")


async def _log_messages(process: asyncio.subprocess.Process) -> None:
    """Log what a process prints, until it ends."""
    assert process.stderr is not None
    async for line in process.stderr:
        log.warning("planning", message=line.decode(errors="replace").strip())
    await process.wait()


class SandboxedPrograms:
    """Starts a program for each task, in the sandbox that FFmpeg has."""

    def __init__(self, settings: PlanningSettings, sandbox: Sandbox) -> None:
        self._settings = settings
        self._sandbox = sandbox

    async def start(self) -> None:
        """Do nothing: each program is started when it is needed."""

    async def open(self, limits: ProcessLimits, access: SandboxAccess) -> PlanningProcess:
        near, far = socket.socketpair()
        sandbox = type(self._sandbox)(limits)
        seen = SandboxAccess(access.writable, own_paths(self._settings.fonts_dir))
        program = [str(PROGRAM), "-P", "-c", BOOT, ":".join(filter(None, sys.path))]
        with far:
            process = await spawn(
                sandbox.wrap([*program, str(far.fileno()), to_json(self._settings).decode()], seen),
                env=child_environment(**ENVIRONMENT),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                pass_fds=(far.fileno(),),
            )
        near.setblocking(False)
        ended = asyncio.ensure_future(process.wait())
        return PlanningProcess(near, ended, lambda: kill_group(process))

    def prepare_fonts(self, tiers: int) -> None:
        """Do nothing: each program reads what it needs."""

    async def aclose(self) -> None:
        """Do nothing: each program ends with its task."""
