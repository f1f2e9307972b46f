"""Programs that fork processes on request, as the encoder sees them: the fork server and the launch server."""

import asyncio
import contextlib
import contextvars
import signal
import socket
from collections.abc import Callable, Mapping

import structlog

from encoder.planning.protocol import MAX_PACKET_BYTES, ServerReply
from servicekit.child_logs import relay
from servicekit.codec import from_json, to_json
from servicekit.errors import Unavailable
from servicekit.process import child_environment, kill_group, module_command, spawn

log = structlog.get_logger("encoder")

START_SECONDS = 60.0
STOP_SECONDS = 5.0
LOST = -9
NO_MORE: Mapping[str, str] = {}


class ForkingProgram:
    """Starts a program of this `name`, `python -m MODULE CHANNEL ARGUMENTS`, asks it for processes, and starts it anew
    when it is lost. With it end all that it forked. It gets the `death_signal` when this process has died."""

    def __init__(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] = NO_MORE,
        on_start: Callable[[], None] = lambda: None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        self._name = name
        self._module = module
        self._arguments = arguments
        self._environment = environment
        self._on_start = on_start
        self._death_signal = death_signal
        self._starting = asyncio.Lock()
        self._channel: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watchers: set[asyncio.Task[None]] = set()
        self._living: dict[int, asyncio.Future[int]] = {}
        self._count = 0

    async def start(self) -> None:
        """Start it, unless it runs. Raises Unavailable."""
        async with self._starting:
            if self._channel is None:
                await self._start_program()

    def expect(self) -> tuple[int, "asyncio.Future[int]"]:
        """Return the number of a process that is asked for next, and what tells its return code once it has ended."""
        self._count += 1
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._living[self._count] = ended
        return self._count, ended

    def send(self, request: object, *descriptors: int) -> None:
        """Send a request, with copies of descriptors; nothing while the program does not run."""
        if self._channel is None:
            return
        try:
            socket.send_fds(self._channel, [to_json(request)], descriptors)
        except OSError as error:
            log.warning(f"{self._name} lost", program=self._module, tasks=len(self._living), error=str(error))
            self._disconnect()

    def kill(self, number: int, request: object) -> None:
        """Send the request that kills a process, unless that is known to have ended."""
        if number in self._living:
            self.send(request)

    async def aclose(self) -> None:
        """End it, and all that it forked."""
        process, self._process = self._process, None  # which ends in its own time, once its channel is closed
        self._disconnect()
        if process is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            kill_group(process)
        await asyncio.gather(*self._watchers)

    async def _start_program(self) -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(near.close)
            with far:
                process = await spawn(
                    module_command(self._module, str(far.fileno()), *self._arguments),
                    self._death_signal,
                    env=child_environment(**self._environment),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=(far.fileno(),),
                )
            on_failure.callback(kill_group, process)
            watcher = asyncio.create_task(relay(process, self._name, log), context=contextvars.Context())
            self._watchers.add(watcher)
            watcher.add_done_callback(self._watchers.discard)
            await _await_ready(near, self._name)
            on_failure.pop_all()
        self._channel, self._process = near, process
        self._on_start()
        # Not in the context of the task that happened to need it first.
        contextvars.Context().run(asyncio.get_running_loop().add_reader, near.fileno(), self._receive)

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            log.warning(f"{self._name} lost", program=self._module, tasks=len(self._living))
            self._disconnect()
            return
        reply = from_json(ServerReply, data)
        future = self._living.pop(reply.ended, None) if reply.ended is not None else None
        if future is not None and not future.done():
            future.set_result(reply.return_code)

    def _disconnect(self) -> None:
        """Close the channel, which ends the program and all that it forked."""
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


async def _await_ready(near: socket.socket, name: str) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            data = await asyncio.get_running_loop().sock_recv(near, MAX_PACKET_BYTES)
    except (OSError, TimeoutError):
        data = b""
    if not data:
        text = f"The encoder's {name} has ended; try again. The encoder's log says why."
        raise Unavailable(text, reason="PLANNING_LOST")
