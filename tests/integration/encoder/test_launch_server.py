"""The launch server: what it starts is shut in, has nothing of the server's, and is gone when it should be."""

import asyncio
import contextlib
import os
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import structlog

from encoder.ffmpeg.children import Child
from encoder.planning.processes import LAUNCH_SERVER, LaunchServerClient
from encoder.sandbox.sandboxes import Bubblewrap, ProcessLimits, SandboxAccess
from tests.integration.encoder.test_encoder_life import LONG, alive
from tests.support import encoder_harness
from tests.support.launching import launched
from tests.support.missing import need
from tests.support.processes import encodes
from tests.support.until import until

TOLD = "import os; print(os.getpgid(0) == os.getpid(), sorted(os.listdir('/proc/self/fd')), dict(os.environ))"
# An encoder that starts a program with a child in its process group, as sandboxes have one during their set-up.
ENCODER = """
import asyncio, sys
from pathlib import Path
from encoder.planning.processes import LaunchServerClient
async def main():
    command = ["/bin/sh", "-c", "sleep 100 & echo $! > child; wait"]
    await LaunchServerClient().launch(command, Path(sys.argv[1]), (0, 1, 2))
    await asyncio.sleep(100)
asyncio.run(main())
"""
# An encoder that becomes the parent of what its servers leave behind, and tells how many that were.
ADOPTING = """
import asyncio, ctypes, psutil, sys
from encoder.planning.processes import LaunchServerClient
async def main():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    left = 0
    for _ in range(5):
        client = LaunchServerClient()
        await client.start()
        (server,) = psutil.Process().children()
        while not server.children():
            await asyncio.sleep(0.01)
        await client.aclose()
        while server in psutil.Process().children():
            await asyncio.sleep(0.01)
        left = len(psutil.Process().children())
    print(left)
asyncio.run(main())
"""
# A program with a child of its own, which ignores what asks it to end.
STUBBORN = "trap '' TERM; sleep 100 & echo $! > child; wait"


@contextlib.asynccontextmanager
async def stubborn(folder: Path) -> AsyncIterator[tuple[LaunchServerClient, Child, psutil.Process]]:
    """A client, a program that it started, and that one's child."""
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        with Path(os.devnull).open("r+b") as nothing:
            files = (nothing.fileno(), nothing.fileno(), nothing.fileno())
            child = await client.launch(["/bin/sh", "-c", STUBBORN], folder, files)
        number = await until(lambda: (folder / "child").exists() and (folder / "child").read_text().strip())
        yield client, child, psutil.Process(int(number))


async def test_a_program_has_a_group_of_its_own_and_nothing_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_TOKEN", "secret")
    code, told = await launched([sys.executable, "-I", "-S", "-c", TOLD], tmp_path)
    # The fourth is that by which the folder is listed.
    assert (code, told.partition("{")[0]) == (0, "True ['0', '1', '2', '3'] ")
    assert "secret" not in told


async def test_a_command_line_may_be_long_and_a_failed_start_is_told(tmp_path: Path) -> None:
    long = ["x" * 100_000] * 5
    assert (await launched(["/bin/sh", "-c", "echo $#", "sh", *long], tmp_path)) == (0, "5\n")
    code, told = await launched([str(tmp_path / "missing")], tmp_path)
    assert code == 1
    assert "FileNotFoundError" in told


async def test_limits_are_set_without_a_program_for_them(tmp_path: Path) -> None:
    told = "import resource as r; print([r.getrlimit(getattr(r, 'RLIMIT_' + name)) for name in ('CPU', 'AS', 'CORE')])"
    limits = ProcessLimits(7, 4 * 1024**3, 1024**3).prlimit_options()
    program = [sys.executable, "-I", "-S", "-c", told]
    missing = str(tmp_path / "prlimit")
    code, text = await launched([missing, *limits, *program], tmp_path)
    assert (code, text.strip()) == (0, str([(7, 12), (4 * 1024**3,) * 2, (0, 0)]))
    # What is not known is left to the program itself.
    code, text = await launched([missing, "--stack=1", *program], tmp_path)
    assert code == 1
    assert "FileNotFoundError" in text


async def test_a_spare_becomes_the_next_program_and_no_other(tmp_path: Path) -> None:
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        await client.start()
        (server,) = [one for one in psutil.Process().children() if LAUNCH_SERVER in " ".join(one.cmdline())]
        (spare,) = await until(server.children)
        # No descriptor of the server's but the channel by which it gets its program.
        await until(lambda: spare.name() == "launch-spare" and spare.num_fds() == 4)
        first = await client.launch(["/bin/sleep", "100"], tmp_path, (0, 1, 2))
        await until(lambda: spare.name() == "sleep")
        assert (os.getsid(spare.pid), Path(spare.cwd())) == (spare.pid, tmp_path)
        second = await client.launch(["/bin/sleep", "100"], tmp_path, (0, 1, 2))
        await until(lambda: [one.name() for one in server.children()] == ["sleep"] * 2)
        for child in (first, second):
            child.kill()
            assert await child.ended == -9
        (again,) = await until(server.children)
        assert again.pid != spare.pid
        again.kill()
        await until(lambda: not alive(again))
        assert await launched_by(client, tmp_path) == 0  # without a spare
    await until(lambda: not alive(server))


async def launched_by(client: LaunchServerClient, folder: Path) -> int:
    """Return the code of a program that a server launches."""
    return await (await client.launch(["/bin/true"], folder, (0, 1, 2))).ended


async def test_a_closed_server_ends_its_spare(tmp_path: Path) -> None:
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        await client.start()
        (server,) = [one for one in psutil.Process().children() if LAUNCH_SERVER in " ".join(one.cmdline())]
        (spare,) = await until(server.children)
    await until(lambda: not alive(spare) and not alive(server))


async def test_a_closed_server_leaves_no_spare_for_others_to_wait_for(tmp_path: Path) -> None:
    """As the encoder would have to in a container, of which it is the first process."""
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ADOPTING, str(tmp_path), stdin=DEVNULL, stdout=PIPE
    )
    told, _ = await done.communicate()
    assert (done.returncode, told) == (0, b"0\n")


async def test_a_program_is_killed_with_its_group(tmp_path: Path) -> None:
    async with stubborn(tmp_path) as (_, child, grandchild):
        child.kill()
        assert await child.ended == -9
        await until(lambda: not alive(grandchild))


async def test_a_closed_server_leaves_none_of_them(tmp_path: Path) -> None:
    async with stubborn(tmp_path) as (client, child, grandchild):
        await client.aclose()
        assert await child.ended == -9
        await until(lambda: not alive(grandchild))


async def test_an_encoder_that_is_killed_leaves_none_of_them(tmp_path: Path) -> None:
    encoder = await asyncio.create_subprocess_exec(sys.executable, "-c", ENCODER, str(tmp_path), stdin=DEVNULL)
    number = await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    child = psutil.Process(int(number))
    family = [child, *child.parents()[:2]]  # the program and the launch server
    assert LAUNCH_SERVER in " ".join(family[2].cmdline())
    encoder.kill()
    await encoder.wait()
    await until(lambda: not any(map(alive, family)))


async def test_all_of_a_sandbox_is_in_the_process_group_that_is_killed(tmp_path: Path) -> None:
    need("bwrap")
    access = SandboxAccess((tmp_path,), ())
    command = Bubblewrap(ProcessLimits(60, 1 << 30, 1 << 30)).wrap(["/usr/bin/sleep", "100"], access)
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        child = await client.launch(command, tmp_path, (0, 1, 2))

        def sleeping() -> psutil.Process | None:
            return next((one for one in psutil.Process().children(recursive=True) if one.name() == "sleep"), None)

        inner = await until(sleeping)
        chain = [inner, *(one for one in inner.parents() if one.name() == "bwrap")]
        groups = {os.getpgid(one.pid) for one in chain}
        assert (len(chain), groups) == (3, {chain[-1].pid})
        assert os.getsid(inner.pid) == chain[-1].pid != os.getsid(0)
        child.kill()
        await until(lambda: not any(map(alive, chain)))


async def test_a_server_that_is_lost_takes_its_programs_along_and_is_started_anew(
    encoder: encoder_harness.Encoder, client: encoder_harness.Client, still: Path
) -> None:
    running = asyncio.create_task(client.encode(LONG, {"url_image": still}))
    (ffmpeg,) = await until(lambda: list(filter(encodes, encoder.children())))
    server = encoder.launch_server()
    assert server in ffmpeg.parents()
    server.kill()
    await asyncio.gather(running, return_exceptions=True)
    assert running.exception() is not None
    await until(lambda: not alive(ffmpeg))
    await until(lambda: not encoder.task_folders())
    again = asyncio.create_task(client.encode(LONG, {"url_image": still}))
    await until(lambda: any(map(encodes, encoder.children())))
    assert encoder.launch_server().pid != server.pid
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Have this process run out of descriptors meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_start_that_fails_for_want_of_descriptors_is_not_waited_for(tmp_path: Path) -> None:
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        await client.start()
        with no_descriptors_left(), pytest.raises(OSError, match="Too many open files"):
            await client.launch(["true"], tmp_path, (0, 1, 2))
        with structlog.testing.capture_logs() as logs:
            (server,) = [one for one in psutil.Process().children() if LAUNCH_SERVER in " ".join(one.cmdline())]
            server.kill()
            await until(lambda: logs)
    assert [(line["event"], line["tasks"]) for line in logs] == [("launch server lost", 0)]
