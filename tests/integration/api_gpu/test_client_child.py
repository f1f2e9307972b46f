"""Supervision of real child processes."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from api_gpu.local.supervisor import ServiceFailed, ServiceProcess, terminal_text
from tests.support.until import HANG_SECONDS, within

Make = Callable[[str], ServiceProcess]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Make:
    """A child whose module has the given source."""

    def make(source: str) -> ServiceProcess:
        (tmp_path / "service.py").write_text(source)
        return ServiceProcess("service", {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1"}, said.append)

    return make


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_bad_setting_ends_it_with_its_text(make: Make) -> None:
    child = make("import sys\nprint(\"service: PORT='x': not a number\", file=sys.stderr)\nsys.exit(2)")
    with pytest.raises(ServiceFailed, match="cannot start: service: PORT='x': not a number") as ended:
        await child.keep_running()
    assert ended.value.code == 2


async def test_it_is_started_again_until_it_dies_too_often(make: Make, said: list[str], tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    child = make(f"open({str(starts)!r}, 'a').write('x')\nraise SystemExit('out of luck')")
    with pytest.raises(ServiceFailed, match="died 5 times within 30 s; its last message: out of luck") as ended:
        await child.keep_running()
    assert ended.value.code == 1
    assert starts.read_text() == "xxxxx"
    assert sum("starting it again" in text for text in said) == 4


async def test_a_service_that_has_served_may_refuse_its_settings_once(make: Make, said: list[str]) -> None:
    child = make("raise SystemExit(2)")
    child.has_served = True
    life = asyncio.create_task(child.keep_running())
    await until(lambda: any("exit code 2" in text for text in said))
    await child.stop(HANG_SECONDS)
    await life


async def test_it_is_asked_to_end(make: Make, said: list[str]) -> None:
    child = make("import signal, sys\nprint('here', file=sys.stderr)\nsignal.sigwait([signal.SIGTERM])")
    life = asyncio.create_task(child.keep_running())
    await until(lambda: bool(said))
    await child.stop(HANG_SECONDS)
    await life
    assert said == ["service: here"]


async def test_it_is_killed_when_it_does_not_end(make: Make, said: list[str]) -> None:
    child = make(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('here', file=sys.stderr)\ntime.sleep(60)"
    )
    life = asyncio.create_task(child.keep_running())
    await until(lambda: bool(said))
    await child.stop(0.3)
    await within(life)
    assert said[-1] == "service did not end within 0.3 s and is killed"


async def test_a_stop_in_the_pause_before_a_restart_is_final(make: Make, said: list[str]) -> None:
    child = make("raise SystemExit('x')")
    life = asyncio.create_task(child.keep_running())
    await until(lambda: sum("starting it again" in text for text in said) == 3)
    await child.stop(HANG_SECONDS)
    await within(life)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
        (json.dumps({"event": "serving", "level": "info", "timestamp": "t"}), ""),
        (
            json.dumps({"event": "slow", "level": "warning", "logger": "x", "timestamp": "t", "ms": 3}),
            "warning: slow ms=3",
        ),
        (json.dumps({"event": "bad", "level": "error", "exception": "Traceback"}), "error: bad\nTraceback"),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_what_a_terminal_shows(line: str, text: str) -> None:
    assert terminal_text(line) == text
