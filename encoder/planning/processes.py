"""The processes of tasks: those that plan, forked by a warm server, and programs, started by another. Where those that
plan cannot be shut in so, all are started one by one, in the sandbox of FFmpeg."""

import asyncio
import importlib.util
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from encoder.captions.font_files import SYSTEM, bundled_folders
from encoder.ffmpeg.children import Child, spawn_child
from encoder.planning.forking import ForkingProgram
from encoder.planning.protocol import ForkRequest, LaunchRequest, PlanningSettings, ProgramData, ServerRequest
from encoder.sandbox import launcher
from encoder.sandbox.sandboxes import ALLOCATOR, ProcessLimits, Sandbox, SandboxAccess, library_paths
from servicekit.codec import to_json
from servicekit.process import child_environment, kill_group, spawn

FORK_SERVER = "encoder.planning.fork_server"
LAUNCH_SERVER = "encoder.sandbox.launch_server"
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

    async def launch(
        self, command: Sequence[str], folder: Path, files: tuple[int, int, int], *, waits: bool = False
    ) -> Child:
        """Start a program of a task; see children.Launch."""

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


class LaunchServerClient:
    """The encoder's side of the launch server."""

    def __init__(self) -> None:
        # Killed at once, it could end no process groups.
        self._server = ForkingProgram(
            "launch server", LAUNCH_SERVER, environment=ALLOCATOR, death_signal=signal.SIGTERM
        )

    async def start(self) -> None:
        """Start it, unless it runs. Raises Unavailable."""
        await self._server.start()

    async def launch(
        self, command: Sequence[str], folder: Path, files: tuple[int, int, int], *, waits: bool = False
    ) -> Child:
        """Start a program; see children.Launch."""
        if sys.platform != "linux":
            raise NotImplementedError
        await self.start()
        # In a file, as a command line may be longer than a packet.
        with os.fdopen(os.memfd_create("program"), "wb", buffering=0) as program:
            program.write(to_json(ProgramData(tuple(command), str(folder))))
            number, ended = self._server.expect()
            self._server.send(LaunchRequest(launch=number, waits=waits), program.fileno(), *files)
        return Child(ended, lambda: self._server.kill(number, LaunchRequest(kill=number)))

    async def aclose(self) -> None:
        """End it, and all that it started."""
        await self._server.aclose()


class ForkServerClient:
    """The encoder's side of the fork server, and of the launch server beside it."""

    def __init__(self, settings: PlanningSettings, *, is_confined: bool) -> None:
        self._is_confined = is_confined
        self._readable = tuple(map(str, (*library_paths(), *own_paths(settings.fonts_dir))))
        self._font_tiers = 0
        words = to_json(settings).decode()
        self._server = ForkingProgram(
            "fork server", FORK_SERVER, words, environment=ENVIRONMENT, on_start=self._forget_fonts
        )
        self._launcher = LaunchServerClient()

    async def start(self) -> None:
        await asyncio.gather(self._server.start(), self._launcher.start())

    async def open(self, limits: ProcessLimits, access: SandboxAccess) -> PlanningProcess:
        await self._server.start()
        near, far = socket.socketpair()
        number, ended = self._server.expect()
        request = ForkRequest(
            number=number,
            cpu_seconds=limits.cpu_seconds,
            memory_bytes=limits.memory_bytes,
            file_bytes=limits.file_bytes,
            is_confined=self._is_confined,
            readable=self._readable,
            writable=tuple(map(str, access.writable)),
        )
        with far:
            self._server.send(ServerRequest(fork=request), far.fileno())
        near.setblocking(False)
        return PlanningProcess(near, ended, lambda: self._server.kill(number, ServerRequest(kill=number)))

    async def launch(
        self, command: Sequence[str], folder: Path, files: tuple[int, int, int], *, waits: bool = False
    ) -> Child:
        return await self._launcher.launch(command, folder, files, waits=waits)

    def prepare_fonts(self, tiers: int) -> None:
        if tiers > self._font_tiers:
            self._font_tiers = tiers
            self._server.send(ServerRequest(font_tiers=tiers))

    def _forget_fonts(self) -> None:
        self._font_tiers = 0

    async def aclose(self) -> None:
        await asyncio.gather(self._server.aclose(), self._launcher.aclose())


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

    async def launch(
        self, command: Sequence[str], folder: Path, files: tuple[int, int, int], *, waits: bool = False
    ) -> Child:
        return await spawn_child(command, folder, files, waits=waits)

    def prepare_fonts(self, tiers: int) -> None:
        """Do nothing: each program reads what it needs."""

    async def aclose(self) -> None:
        """Do nothing: each program ends with its task."""
