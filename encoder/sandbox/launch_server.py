"""A program of its own: the launch server, a warm launcher. For each program that a task runs it forks a process, which
gives up its rights and becomes the program: so none waits for a Python of its own to start.

`python -m encoder.sandbox.launch_server CHANNEL`: requests come over the channel as JSON, each with a file that holds
the command line and the folder of a program, and with its standard input, output and error; return codes go back. When
the channel closes, or its parent has died (SIGTERM), all of them end, by their process groups: a sandbox that is killed
during its set-up would leave its inner process waiting for ever. It is small, so that a fork is cheap, and reads
nothing of a caller.

While nothing runs, one process waits that was forked ahead, the spare: it becomes the next program, and has copied by
then what it writes to of the memory that it shares with the server. It ends as a program does, when the server does.
"""

import contextlib
import gc
import itertools
import json
import os
import re
import resource
import select
import signal
import socket
import sys
import traceback

from encoder.sandbox import launcher

assert sys.platform == "linux"

MAX_PACKET_BYTES = 4096
# The request, and standard input, output and error.
MAX_DESCRIPTORS = 4
FIRST_DESCRIPTOR = 3
NAME, SPARE_NAME = b"launching", b"launch-spare"
FAILED = 1
# A program that sets limits, each soft and hard or both in one, and becomes what follows: what it does is done here,
# as to start it takes a millisecond or two. Source: prlimit(1) of util-linux.
LIMITER = "prlimit"
LIMIT = re.compile(r"--(as|core|cpu|data|fsize|nproc)=(\d+)(?::(\d+))?")
# The spare is made once nothing has run for so long, so that it takes no time from what runs.
IDLE_SECONDS = 0.02


class LaunchServer:
    """Launches, kills and reaps."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._processes: dict[int, int] = {}  # number by process id
        # The process ids of those that were started ahead of what they are to do.
        self._waiting: set[int] = set()
        # The process id of the spare, and our end of the channel by which it gets its program.
        self._spare: tuple[int, socket.socket] | None = None
        # One that ended by itself is not replaced before the next program: it would end again.
        self._spare_is_due = True
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until the channel is closed; then kill all."""
        for number in (signal.SIGCHLD, signal.SIGTERM):  # each wakes it
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()
        with contextlib.suppress(OSError):
            self._channel.sendall(b"{}")  # ready
            while self._serve_once():
                self._reap()
        processes = [*self._processes, *([self._spare[0]] if self._spare is not None else [])]
        for process in processes:  # all of them, before the first is waited for: that may take its time
            _kill(process)
        for process in processes:
            os.waitpid(process, 0)

    def _serve_once(self) -> bool:
        """Wait for what comes next; False once the channel is closed, or it is told to end."""
        channel = self._channel.fileno()
        is_idle = self._spare_is_due and len(self._processes) == len(self._waiting)
        ready, _, _ = select.select([channel, self._woken], [], [], IDLE_SECONDS if is_idle else None)
        if not ready:
            self._fork_spare()
            return True
        with contextlib.suppress(BlockingIOError):
            if signal.SIGTERM in os.read(self._woken, 4096):
                return False
        return channel not in ready or self._receive()

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._channel, MAX_PACKET_BYTES, MAX_DESCRIPTORS)
        if not data:
            return False
        request = json.loads(data)
        if request["launch"] is not None:
            self._launch(request["launch"], descriptors, waits=request["waits"])
        for process in [process for process, number in self._processes.items() if number == request["kill"]]:
            _kill(process)
        return True

    def _launch(self, number: int, descriptors: list[int], *, waits: bool) -> None:
        server = os.getpid()
        try:
            process = self._given(descriptors) or os.fork()
        except OSError:
            self._tell(number, -signal.SIGKILL)
        else:
            if process == 0:
                _leave_server(server)
                _become_program(*descriptors)
            self._processes[process] = number
            if waits:
                self._waiting.add(process)
        for descriptor in descriptors:
            os.close(descriptor)

    def _given(self, descriptors: list[int]) -> int:
        """Give a program to the spare, and return its process id; 0 where there is none. It takes no other."""
        spare, self._spare, self._spare_is_due = self._spare, None, True
        if spare is None:
            return 0
        process, channel = spare
        with channel:
            try:
                socket.send_fds(channel, [b"{}"], descriptors)
            except OSError:  # it is gone
                return 0
        return process

    def _fork_spare(self) -> None:
        self._spare_is_due = False
        server = os.getpid()
        try:
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:  # it can do without
            return
        with far:
            try:
                process = os.fork()
            except OSError:
                near.close()
                return
            if process == 0:
                _leave_server(server)
                _wait_for_program(far)
        self._spare = process, near

    def _reap(self) -> None:
        while self._processes or self._spare is not None:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            if self._spare is not None and self._spare[0] == process:
                self._spare[1].close()
                self._spare = None
            self._waiting.discard(process)
            number = self._processes.pop(process, None)
            if number is not None:
                self._tell(number, os.waitstatus_to_exitcode(status))

    def _tell(self, number: int, return_code: int) -> None:
        self._channel.sendall(json.dumps({"ended": number, "return_code": return_code}).encode())


def _kill(process: int) -> None:
    """Kill a process and its group, which it may not have made yet."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.kill(process, signal.SIGKILL)


def _leave_server(server: int) -> None:
    """Give up what the server has of its own, for a session, and so a process group, of one's own; end with it."""
    try:
        signal.set_wakeup_fd(-1)
        for name in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(name, signal.SIG_DFL)
        launcher.end_with(server)
        os.setsid()
    except BaseException:
        os._exit(FAILED)


def _wait_for_program(channel: socket.socket) -> None:
    """Become the program that comes over the channel; end where none comes. Never returns."""
    try:
        launcher.set_name(SPARE_NAME)
        kept = channel.fileno()
        for first, last in ((FIRST_DESCRIPTOR, kept), (kept + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])):
            os.closerange(first, last)
        json.loads(json.dumps({"command": launcher.COMMAND, "folder": os.getcwd()}))  # as it will
        data, descriptors, _, _ = socket.recv_fds(channel, MAX_PACKET_BYTES, MAX_DESCRIPTORS)
        if data:
            _become_program(*descriptors)
    finally:
        os._exit(0)


def _become_program(request: int, *files: int) -> None:
    """Become the program of a request. Never returns."""
    try:
        launcher.set_name(NAME)
        for number, file in enumerate(files):
            os.dup2(file, number)
        program = json.loads(os.pread(request, os.fstat(request).st_size, 0))
        os.closerange(FIRST_DESCRIPTOR, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        os.chdir(program["folder"])
        _execute(program["command"])
    except Exception:  # told where the program itself would tell what goes wrong
        traceback.print_exc()
    finally:
        os._exit(FAILED)


def _execute(command: list[str]) -> None:
    own = len(launcher.COMMAND)
    if tuple(command[:own]) == launcher.COMMAND:
        launcher.become(command[own:])
    if os.path.basename(command[0]) == LIMITER:
        command = _limited(command)
    os.execvp(command[0], command)


def _limited(command: list[str]) -> list[str]:
    """Set the limits of a command line of prlimit, and return what it would become; leave one alone that has other
    options."""
    options = list(itertools.takewhile(lambda word: word.startswith("-"), command[1:]))
    found = [limit.groups() for limit in map(LIMIT.fullmatch, options) if limit is not None]
    rest = command[1 + len(options) :]
    if not rest or len(found) < len(options):
        return command
    for kind, soft, hard in found:
        resource.setrlimit(getattr(resource, f"RLIMIT_{kind.upper()}"), (int(soft), int(hard or soft)))
    return rest


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as connected:
        LaunchServer(connected).run()
