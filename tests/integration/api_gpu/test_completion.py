"""Completion of the command line, by bash itself with the script that the program gives it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
eval "$(api-gpu --show-completion bash)"
COMP_WORDS=({words}) COMP_CWORD={place}
_api_gpu_completion api-gpu
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p api-gpu
"""


def completed(*words: str) -> tuple[list[str], str]:
    """What bash offers for the last word, and how it is bound."""
    text = SCRIPT.format(words=shlex.join(("api-gpu", *words)), place=len(words))
    own = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", text], env={**os.environ, **own}, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    *offered, bound = done.stdout.splitlines()
    return [word for word in offered if word], bound


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ca",), ["caption", "cancel"]),
        (("assets", "d"), ["delete"]),
        # The program's own options stand before the command.
        (("--server", "localhost:1", "jobs", "--status", "C"), ["COMPLETED", "CANCELLED"]),
        (("caption", "--preset", "bo"), ["bold", "box"]),
        (("caption", "talk.m"), []),  # left to bash, which knows files
    ],
)
def test_bash_offers_commands_options_and_values(words: tuple[str, ...], offered: list[str]) -> None:
    found, bound = completed(*words)
    assert found == offered
    assert bound.split()[:3] == ["complete", "-o", "default"]
