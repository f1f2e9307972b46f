"""A program of its own: the fork server. It has all loaded that planning needs, and forks a process for each task,
which gives up its rights before it reads a byte.

`python -m encoder.planning.fork_server CHANNEL SETTINGS`: requests come over the channel, each for a process with the
descriptor of its own channel; what became of a process goes back. When the channel closes, all of them end. It reads no
byte of a caller, and has one thread: what is forked is whole.
"""

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import av.subtitles.stream  # noqa: F401  # which PyAV would import at the first file, each time anew

from encoder.captions.fonts import FontLibrary
from encoder.planning import worker
from encoder.planning.protocol import (
    MAX_PACKET_BYTES,
    ForkRequest,
    PlannerReply,
    PlannerRequest,
    PlanningSettings,
    ServerReply,
    ServerRequest,
    pack,
)
from encoder.planning.spare import SpareProcess, plan_sample, remove_sample, sample, wait_for_task
from encoder.planning.worker import PlanningSession
from encoder.sandbox import launcher
from encoder.sandbox.sandboxes import MAX_PROCESSES
from servicekit import logs
from servicekit.codec import from_json, make_ready, to_json
from servicekit.process import request_death_signal

assert sys.platform == "linux"

# The first fonts that captions ask for: those of FONTS_DIR, and the bundled family.
USUAL_FONT_TIERS = 2
# Of what is forked.
CHANNEL = 3
# Names of processes, as ps(1) shows them.
PLANNER_NAME, SAMPLE_NAME, SPARE_NAME = b"planner", b"planner-sample", b"planner-spare"
# A spare is made once no task has begun or ended for so long, so that it takes no time from one.
IDLE_SECONDS = 0.02
STATM = Path("/proc/self/statm")


class ForkServer:
    """Forks, kills and reaps."""

    def __init__(self, channel: socket.socket, settings: PlanningSettings) -> None:
        self._channel = channel
        self._settings = settings
        self._fonts = FontLibrary(Path(settings.fonts_dir) if settings.fonts_dir else None)
        self._warming: Iterator[None] = self._fonts.read_tiers(USUAL_FONT_TIERS)
        self._is_warm = False
        self._processes: dict[int, int] = {}  # number by process id
        self._spare: SpareProcess | None = None
        # One that ended by itself is not replaced before the next task: it would end again.
        self._spare_is_due = True
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the channel is closed; then kill all."""
        remove_sample(self._settings, "*")  # of a server that was killed
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        make_ready(ServerRequest, ForkRequest, PlannerRequest)
        self._send(ServerReply())
        # What is collected never need not be copied for those that are forked.
        gc.collect()
        gc.freeze()
        with contextlib.suppress(OSError):
            while self._serve_once():
                self._reap()
        self._end_all()

    def _end_all(self) -> None:
        """Kill and reap all processes, so that none is left to whoever takes in orphans."""
        spare = [self._spare.process] if self._spare is not None else []
        processes = (*self._processes, *spare)
        for process in processes:  # all of them, before the first is waited for: that may take its time
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for process in processes:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, 0)
            remove_sample(self._settings, process)

    def _serve_once(self) -> bool:
        """Wait for what comes next; False once the channel is closed. Fonts are read while there is nothing else."""
        channel = self._channel.fileno()
        ready, _, _ = select.select([channel, self._woken], [], [], self._idle_seconds())
        if not ready:
            self._prepare()
            return True
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        return channel not in ready or self._receive()

    def _idle_seconds(self) -> float | None:
        """Return the seconds to wait before there is something to prepare for tasks to come; None: all is."""
        if not self._is_warm:
            return 0
        return IDLE_SECONDS if self._spare_is_due and not self._processes else None

    def _prepare(self) -> None:
        if self._is_warm:
            self._fork_spare()
        else:
            self._is_warm = next(self._warming, self) is self

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._channel, MAX_PACKET_BYTES, 1)
        if not data:
            return False
        request = from_json(ServerRequest, data)
        if request.fork is not None:
            self._fork(request.fork, descriptors[0])
        if request.kill is not None:
            for process in [process for process, number in self._processes.items() if number == request.kill]:
                os.kill(process, signal.SIGKILL)
        if request.font_tiers is not None:
            self._warming, self._is_warm = self._fonts.read_tiers(request.font_tiers), False
            self._drop_spare(is_due=True)
        return True

    def _fork_spare(self) -> None:
        self._spare_is_due = False
        sample()  # which is made the first time
        server = os.getpid()
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            try:
                process = os.fork()
            except OSError:
                near.close()
                return
            if process == 0:
                session = PlanningSession(self._settings, self._fonts)
                # Called from as deep as in `_fork`: how deep a file may nest must not follow from who planned it.
                _become_worker(*_given_task(far, server, session), session)
        self._spare = SpareProcess(process, near)

    def _drop_spare(self, *, is_due: bool) -> None:
        if self._spare is not None:
            self._spare.channel.close()
        self._spare, self._spare_is_due = None, is_due

    def _fork(self, request: ForkRequest, channel: int) -> None:
        spare, self._spare, self._spare_is_due = self._spare, None, True
        if spare is not None and spare.give(request, channel):
            os.close(channel)
            self._processes[spare.process] = request.number
            return
        server = os.getpid()
        try:
            process = os.fork()
        except OSError:
            os.close(channel)
            self._send(ServerReply(ended=request.number, return_code=-signal.SIGKILL))
            return
        if process == 0:
            _leave_server(server)
            _become_worker(request, channel, PlanningSession(self._settings, self._fonts))
        os.close(channel)
        self._processes[process] = request.number

    def _reap(self) -> None:
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not process:
                return
            if self._spare is not None and self._spare.process == process:
                self._drop_spare(is_due=False)
            # Of one that was killed while it planned it, be it with a task that was given to it meanwhile.
            remove_sample(self._settings, process)
            number = self._processes.pop(process, None)
            if number is not None:
                self._send(ServerReply(ended=number, return_code=os.waitstatus_to_exitcode(status)))

    def _send(self, reply: ServerReply) -> None:
        self._channel.sendall(to_json(reply))


def _leave_server(server: int) -> None:
    """Give up what the server has of its own, and end with it."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request_death_signal(server)


def _given_task(waiting: socket.socket, server: int, session: PlanningSession) -> tuple[ForkRequest, int]:
    """Plan a sample, then wait for a task, and return it; end the process where none comes."""
    given = None
    try:
        _leave_server(server)
        launcher.set_name(SAMPLE_NAME)
        kept = waiting.fileno()
        for first, last in ((CHANNEL, kept), (kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])):
            os.closerange(first, last)
        with contextlib.suppress(Exception):  # of a full disk, say, which the task will tell
            plan_sample(session)
        launcher.set_name(SPARE_NAME)
        given = wait_for_task(waiting)
    finally:
        if given is None:
            os._exit(0)
    return given


def _become_worker(request: ForkRequest, channel: int, session: PlanningSession) -> None:
    """Give up all rights, and plan. Never returns."""
    code = 1
    try:
        launcher.set_name(PLANNER_NAME)
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        os.dup2(channel, CHANNEL)
        os.closerange(CHANNEL + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        connected = socket.socket(fileno=CHANNEL)
        try:
            _confine(request)
        except OSError:
            connected.sendall(pack(PlannerReply(traceback=traceback.format_exc())))
        else:
            worker.serve(connected, session)
            code = 0
    finally:
        os._exit(code)


def _confine(request: ForkRequest) -> None:
    """Enter the limits and the sandbox."""
    with contextlib.suppress(OSError):  # the first to be killed when memory runs short
        Path("/proc/self/oom_score_adj").write_text("1000")
    begun_with = int(STATM.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if STATM.exists() else 0
    launcher.limit(request.cpu_seconds, begun_with + request.memory_bytes, request.file_bytes, MAX_PROCESSES)
    if request.is_confined:
        launcher.enter(list(request.readable), list(request.writable))


def main(channel: str, settings: str) -> None:
    """Serve."""
    logs.configure("encoder", "warning", None)
    with socket.socket(fileno=int(channel)) as connected:
        ForkServer(connected, from_json(PlanningSettings, settings.encode())).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
