"""What may load the driver of a graphics card gets what CUDA needs, in both sandboxes, and nothing more.

No card is here: a program does what CUDA does at its start, and FFmpeg starts the stand-in for CUDA, which does so too.
"""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from encoder.planning.processes import PROGRAM, own_paths
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, Sandbox, SandboxAccess
from tests.nvdriver.driver import Driver
from tests.nvdriver.fixtures import nvdriver, nvdriver_libraries
from tests.support import media
from tests.support.missing import without

__all__ = ["nvdriver", "nvdriver_libraries"]

GIB = 1024**3
LIMITS = ProcessLimits(60, GIB, GIB)
Outside = tuple[str, int, Path, Path]

# Prints what went well, by its name. Its arguments are a device file; one that is not given; what there is outside, an
# abstract socket, a TCP port, sockets of packets and of datagrams in files; and a process.
BEHAVES_LIKE_CUDA = """
import ctypes, json, mmap, os, socket, sys, threading

device, other_device, outside, port, packets, datagrams, other_process = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]


def reserved():
    no_access, flags = 0, 0x4000 | mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS  # MAP_NORESERVE
    anywhere = libc.mmap(None, 40 << 30, no_access, flags, -1, 0)
    return anywhere != ctypes.c_void_p(-1).value


def named(path):
    done = []
    def name():
        with open(path.format(os.getpid(), threading.get_native_id()), "w") as file:
            file.write("cuda-EvtHandlr")
        done.append(True)
    thread = threading.Thread(target=name)
    thread.start()
    thread.join()
    return bool(done)


def read(path):
    with open(path, "rb") as file:
        return bool(file.read(1))


def opened(path):
    os.close(os.open(path, os.O_RDWR))
    return True


def listening():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(chr(0) + f"cuda-uvmfd-{os.getpid()}")
        server.listen(1)
        return True


def connected(kind, family, address):
    with socket.socket(family, kind) as client:
        client.settimeout(5)
        client.connect(address)
        return True


def sent(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        return client.sendto(b"out", address) > 0


def filled(bytes_):
    return len(bytearray(bytes_)) == bytes_


NEEDED = {
    "names a thread": lambda: named("/proc/self/task/{1}/comm"),
    "names it by its number": lambda: named("/proc/{0}/task/{1}/comm"),
    "reserves 40 GiB": reserved,
    "reads /sys": lambda: read("/sys/devices/system/cpu/possible"),
    "reads itself": lambda: read("/proc/self/maps"),
    "reads the devices": lambda: read("/proc/devices"),
    "reads the least address": lambda: read("/proc/sys/vm/mmap_min_addr"),
    "opens the device": lambda: opened(device),
    "makes a file of memory": lambda: os.memfd_create("cuda") > 0,
    "listens": listening,
}
REFUSED = {
    "another device": lambda: opened(other_device),
    "a file of the machine": lambda: read("/etc/passwd"),
    "the words of another process": lambda: read(f"/proc/{other_process}/cmdline"),
    "the environment of another process": lambda: read(f"/proc/{other_process}/environ"),
    "to set what /sys shows": lambda: opened("/sys/kernel/mm/transparent_hugepage/enabled"),
    "to set what /proc shows": lambda: opened("/proc/sys/vm/overcommit_memory"),
    "to say what becomes of a crash": lambda: opened("/proc/sys/kernel/core_pattern"),
    "to set ranges of memory": lambda: opened("/proc/mtrr"),
    "more memory than its limit": lambda: filled(2 << 30),
    "a socket outside": lambda: connected(socket.SOCK_SEQPACKET, socket.AF_UNIX, chr(0) + outside),
    "a socket in a file": lambda: connected(socket.SOCK_SEQPACKET, socket.AF_UNIX, packets),
    "a datagram": lambda: sent(datagrams),
    "a host": lambda: connected(socket.SOCK_STREAM, socket.AF_INET, ("127.0.0.1", int(port))),
}


def went(attempt):
    try:
        return attempt()
    except (OSError, MemoryError):
        return False


threading.excepthook = lambda _: None
print(json.dumps([[name for name, attempt in group.items() if went(attempt)] for group in (NEEDED, REFUSED)]))
print(json.dumps([list(NEEDED), list(REFUSED)]))
"""


@pytest.fixture(params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """A sandbox that works here, with a limit of 1 GiB."""
    try:
        made: Sandbox = SANDBOXES[request.param](LIMITS)
        done = subprocess.run(made.wrap(["/bin/true"], SandboxAccess((), (Path("/bin/true"),))), capture_output=True)
        fault = done.stderr.decode()
    except OSError as error:
        fault = str(error)
    if fault:
        without(f"{request.param} does not work here: {fault}")
    return made


@pytest.fixture
def devices(tmp_path: Path) -> tuple[Path, Path]:
    """Two device files, made here where that is allowed: of the usual ones bubblewrap gives some to everybody."""
    made = tmp_path / "card0", tmp_path / "card1"
    try:
        for path in made:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 7))
            path.chmod(0o666)
    except PermissionError:
        return Path("/dev/full"), Path("/dev/fuse")
    return made


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    """What somebody outside listens on: an abstract socket, a TCP port, and files of two kinds of sockets."""
    name, packets, datagrams = f"api-gpu-test-{os.getpid()}", tmp_path / "packets", tmp_path / "datagrams"
    with contextlib.ExitStack() as stack:
        for kind, address in (
            (socket.SOCK_SEQPACKET, f"\0{name}"),
            (socket.SOCK_SEQPACKET, str(packets)),
            (socket.SOCK_DGRAM, str(datagrams)),
        ):
            server = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(address)
            if kind == socket.SOCK_SEQPACKET:
                server.listen(1)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        yield name, tcp.getsockname()[1], packets, datagrams


def behaved(sandbox: Sandbox, nodes: tuple[Path, Path], outside: Outside, **access: Any) -> list[list[str]]:
    """What went well of what is needed, and of what is refused; and what there was of both."""
    command = [str(PROGRAM), "-I", "-c", BEHAVES_LIKE_CUDA, *map(str, (*nodes, *outside, os.getppid()))]
    done = subprocess.run(
        sandbox.wrap(command, SandboxAccess((), own_paths(""), **access)), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [names for line in done.stdout.splitlines() for names in json.loads(line)]


def test_a_program_that_behaves_like_cuda_gets_what_it_needs_and_no_more(
    sandbox: Sandbox, devices: tuple[Path, Path], outside: Outside
) -> None:
    went, reached, needed, _ = behaved(sandbox, devices, outside, devices=devices[:1])
    assert (went, reached) == (needed, [])


def test_what_loads_no_driver_gets_none_of_it(sandbox: Sandbox, devices: tuple[Path, Path], outside: Outside) -> None:
    went, reached, _, _ = behaved(sandbox, devices, outside)
    harmless = {"makes a file of memory", "listens"}  # in bubblewrap's own network, and only there
    assert (set(went) - harmless, reached) == (set(), [])


def test_landlock_holds_on_to_the_threads_that_may_be_named() -> None:
    """Its rule is for a file that the kernel forgets when memory runs short, unless somebody holds it open."""
    try:
        sandbox = SANDBOXES["landlock"](LIMITS)
    except OSError as error:
        without(f"landlock does not work here: {error}")
    code = "import os; print(os.getpid(), *(os.path.realpath(f'/proc/self/fd/{fd}') for fd in range(3, 16)))"
    command = sandbox.wrap([str(PROGRAM), "-I", "-c", code], SandboxAccess((), own_paths(""), ()))
    pid, *held = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert f"/proc/{pid}/task" in held


@pytest.fixture
def machine(nvdriver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """The stand-in for the driver, whose settings a child in a sandbox can read."""
    seen = tmp_path / "seen"
    seen.mkdir()
    driver = Driver(nvdriver.libraries, nvdriver.log, seen / "control")
    for name, value in driver.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{driver.libraries}:{seen}")
    return driver


def opened(sandbox: Sandbox, number: int, **access: Any) -> str:
    """What FFmpeg says when it opens a card."""
    source = ["-f", "lavfi", "-i", "color=s=64x36:d=0.04", "-f", "null", "-"]
    command = [media.FFMPEG, "-v", "error", "-init_hw_device", f"cuda=card:{number}", *source]
    done = subprocess.run(
        sandbox.wrap(command, SandboxAccess((), (), **access)), capture_output=True, text=True, timeout=60
    )
    return done.stderr


def test_ffmpeg_starts_the_driver(sandbox: Sandbox, machine: Driver, devices: tuple[Path, Path]) -> None:
    machine.fault(device_file=devices[0])
    assert opened(sandbox, 0, devices=devices[:1]) == ""
    if devices[0].parent != Path("/dev"):
        assert "CUDA_ERROR_NO_DEVICE" in opened(sandbox, 0, devices=devices[1:])
    assert "CUDA_ERROR_" in opened(sandbox, 0)


def test_a_card_has_the_number_that_cuda_visible_devices_gives_it(
    sandbox: Sandbox, machine: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.fault(devices=2)
    assert opened(sandbox, 1, devices=()) == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert opened(sandbox, 0, devices=()) == ""
    assert "CUDA_ERROR_INVALID_DEVICE" in opened(sandbox, 1, devices=())


def test_without_a_sandbox_the_limit_leaves_room_for_the_driver_too(
    machine: Driver, devices: tuple[Path, Path]
) -> None:
    assert opened(SANDBOXES["none"](LIMITS), 0, devices=()) == ""
    program = [sys.executable, "-c", "bytearray(2 << 30)"]
    done = subprocess.run(
        SANDBOXES["none"](LIMITS).wrap(program, SandboxAccess((), (), ())), capture_output=True, text=True
    )
    assert "MemoryError" in done.stderr
