"""Tables on terminals of any width: the id of a row can be copied from them."""

import os
import pty
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api_gpu.cli.tables import print_rows

HEADINGS = ("job", "status", "tasks", "accepted", "inputs")
ROWS = [("01a21ff84a356fa2cea0568b807d4af9", "COMPLETED", "1/1", "2026-11-28 02:24:55", "talk.mp4, a long name.srt")]


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> Iterator[int]:
    """Have a terminal of a width in place of stdout; give the end that shows what is printed."""
    shows, prints = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(prints, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        yield shows
        stdout.flush()
    os.close(shows)


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (100, ["job", "status", "tasks", "accepted", "inputs"]),
        (80, ["job", "status", "accepted", "inputs"]),
        (60, ["job", "status", "inputs"]),
        (44, ["job", "inputs"]),
    ],
)
def test_an_id_is_whole_on_any_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, shown: list[str]) -> None:
    with terminal(monkeypatch, columns) as shows:
        print_rows(HEADINGS, ROWS, ("tasks", "accepted", "status"))
        sys.stdout.flush()
        lines = re.sub(r"\x1b\[[\d;]*m", "", os.read(shows, 65536).decode()).splitlines()
    assert lines[0].split() == shown
    assert lines[1].startswith(f"{ROWS[0][0]} ")
    assert ("2026-11-28 02:24:55" in lines[1]) == ("accepted" in shown)
