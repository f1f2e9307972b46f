"""The sandboxes: what FFmpeg can reach from inside, and the limits that it meets. Both kinds, by the same tests; and
Landlock by a launcher of its own too, as FFmpeg is tried at the start."""

import asyncio
import re
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import pytest

from apigpu.v1 import video_pb2
from encoder.ffmpeg.ahead import started_ahead
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.errors import INTERRUPTED
from encoder.ffmpeg.process import Ffmpeg
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, Sandbox, SandboxAccess
from servicekit.errors import ServiceError
from tests.integration.encoder.test_encoder_life import LONG, alive
from tests.support import encoder_harness, media
from tests.support.launching import launched
from tests.support.missing import without
from tests.support.processes import encodes
from tests.support.until import until

GIB = 1024**3
LIMITS = ProcessLimits(60, 4 * GIB, GIB)
SHORT = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.1, width=64, height=36))


Run = Callable[[Sandbox, SandboxAccess, Sequence[str | Path]], tuple[int, str]]
"""Returns code and messages of FFmpeg in a sandbox."""


def run_cold(sandbox: Sandbox, reach: SandboxAccess, arguments: Sequence[str | Path]) -> tuple[int, str]:
    command = sandbox.wrap([media.FFMPEG, "-v", "error", "-y", *map(str, arguments)], reach)
    cwd = reach.writable[0] if reach.writable else None
    done = subprocess.run(command, check=False, cwd=cwd, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def run_warm(sandbox: Sandbox, reach: SandboxAccess, arguments: Sequence[str | Path]) -> tuple[int, str]:
    command = sandbox.wrap([media.FFMPEG, "-v", "error", "-y", *map(str, arguments)], reach)
    return asyncio.run(launched(command, reach.writable[0] if reach.writable else Path("/")))


def run_ahead(sandbox: Sandbox, reach: SandboxAccess, arguments: Sequence[str | Path]) -> tuple[int, str]:
    async def run() -> tuple[int, str]:
        ffmpeg = Ffmpeg(Path(media.FFMPEG), sandbox)
        async with started_ahead(ffmpeg, reach, lambda _: None) as ahead:
            process = await ahead.take(FfmpegRun(tuple(map(str, arguments)), ()))
            assert process is not None
            try:
                await process.finish()
            except ServiceError:
                return process.code, "\n".join(process.messages)
            finally:
                await process.kill()
            return process.code, "\n".join(process.messages)

    return asyncio.run(run())


@pytest.fixture(params=["bubblewrap", "bubblewrap ahead", "landlock", "landlock ahead", "landlock cold"])
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of sandbox that works here, and how FFmpeg is started in it."""
    kind: str = request.param
    try:
        code, messages = run_cold(SANDBOXES[kind.split()[0]](LIMITS), SandboxAccess((), ()), ["-version"])
        fault = messages if code else ""
    except OSError as error:
        fault = str(error)
    if fault:
        without(f"{kind} does not work here: {fault}")
    return kind


@pytest.fixture
def name(kind: str) -> str:
    """The kind of sandbox."""
    return kind.split()[0]


@pytest.fixture
def run(kind: str) -> Run:
    """How FFmpeg is run in it."""
    return run_cold if "cold" in kind else run_ahead if "ahead" in kind else run_warm


@pytest.fixture
def sandbox(name: str) -> Sandbox:
    made: Sandbox = SANDBOXES[name](LIMITS)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A task's work folder with a small picture, beside a secret that is none of its business."""
    made = tmp_path / "task"
    made.mkdir()
    media.image(made / "input0.png", "64x36")
    media.image(tmp_path / "secret.png", "64x36")
    return made


def test_it_works_in_its_folder(sandbox: Sandbox, folder: Path, run: Run) -> None:
    assert run(sandbox, SandboxAccess((folder,), ()), ["-i", "input0.png", "result.png"]) == (0, "")
    assert (folder / "result.png").stat().st_size > 100


def test_libraries_may_lie_beneath_a_linked_folder_of_the_system(
    sandbox: Sandbox, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    beneath = next(path for path in sorted(Path("/lib").iterdir()) if path.is_dir() and not path.is_symlink())
    monkeypatch.setenv("LD_LIBRARY_PATH", str(beneath))
    code, messages = run(sandbox, SandboxAccess((folder,), ()), ["-version"])
    assert code == 0, messages


def test_it_reads_nothing_else(sandbox: Sandbox, folder: Path, run: Run) -> None:
    for path in (folder.parent / "secret.png", Path("../secret.png")):
        code, _ = run(sandbox, SandboxAccess((folder,), ()), ["-f", "png_pipe", "-i", path, "stolen.png"])
        assert code != 0
        assert not (folder / "stolen.png").exists()
    passwords = ["-f", "data", "-i", "/etc/passwd", "-map", "0", "-f", "data", "stolen"]
    assert run(sandbox, SandboxAccess((folder,), ()), passwords)[0] != 0
    assert (
        run(sandbox, SandboxAccess((folder,), (folder.parent,)), ["-i", folder.parent / "secret.png", "seen.png"])[0]
        == 0
    )


def test_a_link_out_of_its_folder_leads_nowhere(sandbox: Sandbox, folder: Path, run: Run) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    assert run(sandbox, SandboxAccess((folder,), ()), ["-i", "link.png", "stolen.png"])[0] != 0


def test_it_writes_nowhere_else(sandbox: Sandbox, folder: Path, run: Run) -> None:
    other = folder.parent / "other"
    other.mkdir()
    for target in (other / "o.png", folder.parent / "secret.png"):
        before = target.read_bytes() if target.exists() else None
        run(sandbox, SandboxAccess((folder,), (folder.parent,)), ["-i", "input0.png", "-update", "1", target])
        assert (target.read_bytes() if target.exists() else None) == before


def test_it_reaches_no_network(sandbox: Sandbox, folder: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        for listener, scheme in ((tcp, "tcp"), (udp, "udp")):
            listener.settimeout(0.3)
            url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
            run(sandbox, SandboxAccess((folder,), ()), ["-i", "input0.png", "-f", "mpegts", url])
        with pytest.raises(TimeoutError):
            tcp.accept()
        with pytest.raises(TimeoutError):
            udp.recv(1)


def test_memory_is_limited(name: str, folder: Path, run: Run) -> None:
    small: Sandbox = SANDBOXES[name](ProcessLimits(60, 512 * 1024**2, GIB))
    big = ["-f", "lavfi", "-i", "color=s=16000x16000:d=0.1", "-frames:v", "1", "-f", "null", "-"]
    code, messages = run(small, SandboxAccess((folder,), ()), big)
    assert code != 0
    # A thread that finds no room for its stack is told to try again.
    assert re.search("Cannot allocate memory|Resource temporarily unavailable", messages)


def test_cpu_time_is_limited(name: str, folder: Path, run: Run) -> None:
    short: Sandbox = SANDBOXES[name](ProcessLimits(1, 4 * GIB, GIB))
    code, _ = run(
        short, SandboxAccess((folder,), ()), ["-f", "lavfi", "-i", "testsrc2=s=1920x1080:d=600", "-f", "null", "-"]
    )
    assert code == INTERRUPTED


def test_files_are_limited(name: str, folder: Path, run: Run) -> None:
    short: Sandbox = SANDBOXES[name](ProcessLimits(60, 4 * GIB, 100_000))
    source = ["-f", "lavfi", "-i", "testsrc2=s=640x360:d=2", "-f", "rawvideo", "big.yuv"]
    code, _ = run(short, SandboxAccess((folder,), ()), source)
    assert code != 0
    assert (folder / "big.yuv").stat().st_size <= 100_000


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"], indirect=True)
async def test_an_encoder_tells_its_sandbox_and_dies_whole(name: str, certs: Path, tmp_path: Path, still: Path) -> None:
    with encoder_harness.running(certs, tmp_path, {"SANDBOX": name}) as encoder:
        async with encoder.client() as client:
            assert (await client.capabilities()).sandbox == name
            await client.encode(SHORT, {"url_image": still})
            running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
            await until(lambda: any(map(encodes, encoder.children())))
            children = encoder.children()
            encoder.process.kill()
            await until(lambda: not any(alive(child) for child in children))
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"], indirect=True)
async def test_what_meets_a_limit_is_told_so(name: str, certs: Path, tmp_path: Path, still: Path) -> None:
    with encoder_harness.running(certs, tmp_path, {"SANDBOX": name, "MAX_RESULT_BYTES": 500}) as encoder:
        async with encoder.client() as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.encode(SHORT, {"url_image": still})
            assert "MAX_RESULT_BYTES" in (caught.value.details() or "")
            assert not encoder.task_folders()


def test_one_that_cannot_work_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="bwrap is not installed"):
        SANDBOXES["bubblewrap"](LIMITS)
