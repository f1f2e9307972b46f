"""An FFmpeg that is started ahead of its task: it waits, becomes the task's run, and is gone with what it was for."""

import asyncio
import contextlib
import hashlib
import os
import platform
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from apigpu.v1 import video_pb2
from encoder.ffmpeg import ahead
from encoder.ffmpeg.ahead import LENGTH, LIBRARY, MAX_BYTES, WAITS, started_ahead, works
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import Ffmpeg, PipedFrames, bundled_binary
from encoder.sandbox.sandboxes import SANDBOXES, ProcessLimits, SandboxAccess
from encoder.tasks.readiness import IDLE_SECONDS, Readiness
from encoder.tasks.slots import Slots
from encoder.tasks.workspace import Workspace
from servicekit.tasks import running
from tests.integration.encoder.test_encoder_life import LONG
from tests.support import encoder_harness
from tests.support.missing import need, without
from tests.support.paths import ROOT
from tests.support.processes import alive
from tests.support.until import until

GIB = 1024**3
# What made a file, as it says itself.
MAKER = re.compile(rb"GCC: [^\0]+")
STATUS = ("CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Groups")
THUMBNAIL = video_pb2.Operation(thumbnail=video_pb2.ThumbnailRequest(url_video="v"))
CLIP = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.1, width=64, height=36))
TELL = "import os, sys; print(ascii(sys.argv[1:]), os.environ.get('LD_PRELOAD'))"

# Where there should be a library, its absence fails.
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason=f"there is no {LIBRARY.name}")


@pytest.fixture(scope="module", params=["bubblewrap", "landlock"])
def ffmpeg(request: pytest.FixtureRequest) -> Ffmpeg:
    """FFmpeg in a sandbox that works here."""
    try:
        made = Ffmpeg(bundled_binary().resolve(), SANDBOXES[request.param](ProcessLimits(60, 16 * GIB, GIB)))
        code, fault = asyncio.run(made.query(["-version"]))
    except OSError as error:
        code, fault = 1, str(error)
    if code:
        without(f"{request.param} does not work here: {fault}")
    return made


def told(message: bytes) -> "subprocess.Popen[bytes]":
    """Python, started with the words to run TELL and told a message, behind which nothing comes."""
    near, far = socket.socketpair()
    with near, far:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", TELL, "first"],
            env={"LD_PRELOAD": str(LIBRARY)},
            stdin=far,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        near.sendall(message)
    return process


def held_by(process: psutil.Process) -> dict[str, Any]:
    """What holds for a process, and what it has."""
    proc = Path(f"/proc/{process.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    mounts = [line.split()[3:6] for line in (proc / "mountinfo").read_text().splitlines()]
    variables = (proc / "environ").read_text().split("\0")
    return {
        "limits": (proc / "limits").read_text(),
        "status": {name: status[name] for name in STATUS},
        "mounts": sorted(mount for mount in mounts if mount[1] != str(LIBRARY)),
        "files": [(entry.name, stat.S_IFMT(entry.stat().st_mode)) for entry in sorted((proc / "fd").iterdir())],
        "environment": sorted(one for one in variables if not one.startswith("LD_PRELOAD")),
    }


def test_the_library_is_made_of_its_source() -> None:
    source = LIBRARY.with_name("late_words.c").read_bytes()
    assert hashlib.sha256(source).hexdigest().encode() in LIBRARY.read_bytes(), "make late-words"


def test_the_library_is_what_gcc_makes_of_it(tmp_path: Path) -> None:
    need("make", "gcc")
    made = tmp_path / LIBRARY.name
    subprocess.run(["make", "-s", "late-words", f"LATE_WORDS={made}"], cwd=ROOT, check=True, timeout=60)
    built, held = made.read_bytes(), LIBRARY.read_bytes()
    here, there = (MAKER.findall(data) for data in (built, held))
    assert there
    if here != there:
        without(f"gcc here is another than that of {LIBRARY.name}: {here}, {there}")
    assert built == held, "make late-words"


def test_words_come_as_they_were_told() -> None:
    words = ["", "it's", 'a "b"\n$c', "\N{HEAVY BLACK HEART}", "x" * 50_000, ""]
    data = b"".join(word.encode() + b"\0" for word in words)
    output, _ = told(LENGTH.pack(len(data)) + data).communicate()
    assert output.decode() == f"{WAITS.decode()}{['first', *words]!a} None\n"


@pytest.mark.parametrize(
    "message",
    [b"", b"\x01", LENGTH.pack(4) + b"ab\0", LENGTH.pack(2) + b"ab", LENGTH.pack(0), LENGTH.pack(MAX_BYTES + 1)],
    ids=["nothing", "half a length", "half a message", "no last zero", "no word", "too many"],
)
def test_without_a_whole_message_nothing_is_run(message: bytes) -> None:
    process = told(message)
    assert process.communicate()[0] == WAITS
    assert process.returncode == 1


async def test_it_works_where_it_should(ffmpeg: Ffmpeg) -> None:
    assert await works(ffmpeg)


async def test_what_does_not_load_the_library_is_not_started_ahead(
    ffmpeg: Ffmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "LIBRARY", Path(__file__))  # which ld.so passes over
    assert not await works(ffmpeg)


async def test_without_room_for_a_trial_it_is_not_started_ahead(
    ffmpeg: Ffmpeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    assert not await works(ffmpeg)


async def test_it_sees_the_folder_that_is_renamed_and_no_other(ffmpeg: Ffmpeg, tmp_path: Path, still: Path) -> None:
    before, folder = tmp_path / "before", tmp_path / "task"
    before.mkdir()
    (tmp_path / "secret.png").write_bytes(still.read_bytes())
    access = SandboxAccess((folder,), (), begins_at=before)
    for source, code in (("input0", 0), (tmp_path / "secret.png", 1)):
        async with started_ahead(ffmpeg, access, lambda _: None) as waiting:
            assert await waiting.waits()
            (before / "input0").write_bytes(still.read_bytes())
            before.rename(folder)
            run = FfmpegRun(("-f", "png_pipe", "-i", str(source), "-f", "image2", str(folder / "result")), ())
            process = await waiting.take(run)
            assert process is not None
            assert await waiting.take(run) is None
            await asyncio.gather(process.finish(), return_exceptions=True)
            assert (bool(process.code), (folder / "result").exists()) == (bool(code), not code)
            await process.kill()
        (folder / "result").unlink(missing_ok=True)
        folder.rename(before)


async def test_it_is_killed_where_no_run_takes_it(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    before = psutil.Process().children()
    async with started_ahead(ffmpeg, SandboxAccess((tmp_path,), ()), lambda _: None) as waiting:
        assert await waiting.waits()
        (child,) = {*psutil.Process().children()} - {*before}
        children = [child, *child.children(recursive=True)]
        assert await waiting.take(FfmpegRun((), (), stdin=PipedFrames(lambda: iter(())))) is None
        assert await waiting.take(FfmpegRun((), (), devices=())) is None
        assert await waiting.take(FfmpegRun(("x" * MAX_BYTES,), ())) is None
        assert await waiting.take(FfmpegRun(("one\0-two",), ())) is None  # which would be two words
    await until(lambda: not any(map(alive, children)))


async def test_two_cancels_end_it_whole(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    is_waiting = asyncio.Event()

    async def hold() -> None:
        async with started_ahead(ffmpeg, SandboxAccess((tmp_path,), ()), lambda _: None) as waiting:
            await waiting.waits()
            is_waiting.set()
            await asyncio.Event().wait()

    before = psutil.Process().children()
    holding = asyncio.create_task(hold())
    await is_waiting.wait()
    (child,) = {*psutil.Process().children()} - {*before}
    for _ in range(2):
        holding.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([holding])
    assert not alive(child)


async def test_one_that_was_told_a_part_of_a_run_is_told_no_other(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    async with started_ahead(ffmpeg, SandboxAccess((tmp_path,), ()), lambda _: None) as waiting:
        for word in ("x" * (MAX_BYTES - 1), "-version"):  # the pipe holds a little less
            assert await waiting.take(FfmpegRun((word,), ())) is None


async def test_it_has_what_one_has_that_is_started_late(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    before = psutil.Process().children(recursive=True)

    def found() -> list[psutil.Process]:
        started = []
        for one in {*psutil.Process().children(recursive=True)} - {*before}:
            with contextlib.suppress(psutil.Error):  # it has ended
                if one.exe() == str(ffmpeg.binary):
                    started.append(one)
        return started

    access = SandboxAccess((tmp_path,), ())
    run = FfmpegRun(("-re", "-f", "lavfi", "-i", "color=s=16x16:d=60", str(tmp_path / "result.nut")), ())
    held = []
    async with started_ahead(ffmpeg, access, lambda _: None) as waiting:
        for ahead in (waiting, None):
            async with ffmpeg.start(run, access, ahead=ahead):
                await until((tmp_path / "result.nut").exists)
                (process,) = found()
                held.append(held_by(process))
            await until(lambda: not found())
            (tmp_path / "result.nut").unlink()
    early, late = held
    # The one at its end, the other empty: nothing can be asked of either, as of a socket.
    assert early["files"][0] == ("0", stat.S_IFIFO)
    assert late["files"][0] == ("0", stat.S_IFCHR)
    assert early.pop("files")[1:] == late.pop("files")[1:]
    assert early == late


async def test_a_task_may_begin_at_once(ffmpeg: Ffmpeg, tmp_path: Path) -> None:
    readiness = Readiness(Workspace(tmp_path, tmp_path, 0), ffmpeg, Slots(1))
    run = FfmpegRun(("-f", "lavfi", "-i", "color=s=16x16:d=0.1", "-f", "null", "-"), ())
    async with running(readiness.keep()):
        for _ in range(4):  # in turn before the one that is made waits, and after
            await until(lambda: list(tmp_path.glob("ahead-*")))
            async with (
                readiness.task_folder(encodes=True) as (folder, waiting),
                ffmpeg.start(run, folder.access, ahead=waiting) as process,
            ):
                await process.finish()
    assert not list(tmp_path.iterdir())


def waits(encoder: encoder_harness.Encoder) -> list[psutil.Process]:
    """The FFmpeg itself that waits, if there is one."""
    return [one for one in encoder.waiting() if one.name() == encoder_harness.WAITING]


async def test_a_task_gets_the_one_that_waits_and_another_waits_then(
    certs: Path, tmp_path: Path, clip: Path, still: Path
) -> None:
    with encoder_harness.running(certs, tmp_path) as encoder:
        async with encoder.client() as client:
            (first,) = await until(lambda: waits(encoder))
            assert (await client.encode(THUMBNAIL, {"url_video": clip})).summary.width
            assert not alive(first)
            (second,) = await until(lambda: waits(encoder))
            second.kill()  # its task does without
            await until(lambda: not alive(second))
            assert (await client.encode(THUMBNAIL, {"url_video": clip})).summary.width
            (third,) = await until(lambda: waits(encoder))
            await client.encode(CLIP, {"url_image": still})  # which has FFmpeg read what is written to it
            assert waits(encoder) == [third]
        waiting = encoder.waiting()
        (folder,) = encoder.work_dir.glob("ahead-*")
        encoder.process.send_signal(signal.SIGTERM)
        encoder.process.wait(20)
        assert not any(map(alive, waiting))
        assert not folder.exists()
    with encoder_harness.running(certs, tmp_path) as encoder:
        await until(lambda: waits(encoder))
        waiting = encoder.waiting()
        os.kill(encoder.process.pid, signal.SIGKILL)
        await until(lambda: not any(map(alive, waiting)))


async def test_another_waits_once_the_last_of_several_tasks_has_ended(
    certs: Path, tmp_path: Path, clip: Path, still: Path
) -> None:
    with encoder_harness.running(certs, tmp_path, {"BATCH_SIZE": "2"}) as encoder:
        async with encoder.client() as client:
            await until(lambda: waits(encoder))
            running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
            await until(encoder.children)
            await client.encode(THUMBNAIL, {"url_video": clip})
            await asyncio.sleep(5 * IDLE_SECONDS)
            assert not waits(encoder)
            running.cancel()
            await until(lambda: waits(encoder))
