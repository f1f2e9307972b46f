"""The table of faults: every reason that an encoder gives is in it, and so is what becomes of the task."""

import ast

import pytest

from encoder.ffmpeg import errors as ffmpeg_errors
from gateway.workers.base import EncoderBusy, EncoderLost, Input, InputFailed
from gateway.workers.faults import FAULTS, Blame, Retry, reported, verdict
from servicekit.errors import (
    Aborted,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
    Unimplemented,
)
from tests.support.paths import ROOT

INPUTS = (Input("images.image_url", "https://example.com/a", lambda: None),)
# What workers hand on of the gateway's side: its links, and the store behind them.
LINKS = ("gateway/rest/worker_links.py", "gateway/assets/bucket.py", "gateway/assets/links.py")
# These name an input's field, or are the gateway's own to clients.
NOT_OF_WORKERS = {"ASSET_NOT_FOUND"}


def reasons(path):
    """Every word that a file gives as `reason=` to anything but a warning, or what becomes one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and not ast.unparse(node.func).endswith(("Warning", "Note")):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            yield from (value.value for value in values if isinstance(value, ast.Constant) and value.value)


def of_encoders():
    files = [*(ROOT / "encoder").rglob("*.py"), ROOT / "servicekit" / "chunks.py", *(ROOT / name for name in LINKS)]
    found = {reason for path in files for reason in reasons(path)}
    tables = [*ffmpeg_errors.TABLE.values(), *ffmpeg_errors.SIGNALS.values()]
    return (found | {reason for _, reason, _ in tables}) - NOT_OF_WORKERS


def test_every_reason_of_an_encoder_has_its_row():
    assert of_encoders() <= FAULTS.keys()


def test_the_reference_has_the_same_table():
    page = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    _, _, section = page.partition("## Whose fault, and what becomes of the task")
    rows = [line.strip("| ").split(" | ") for line in section.partition("\n## ")[0].splitlines() if line[:3] == "| `"]
    told = {name.strip("`"): tuple(row) for names, *row in rows for name in names.split(", ")}
    counts = {True: "does not count", False: "counts"}
    words = {Retry.ELSEWHERE: "goes to another encoder", Retry.ANYWHERE: "is tried again", Retry.NEVER: "fails"}
    assert told == {name: (row.blame.value, words[row.retry], counts[row.passes]) for name, row in FAULTS.items()}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("kind", [Unavailable, Aborted, Internal, InvalidArgument])
def test_a_fault_of_an_encoder_never_passes_for_one_of_our_own_stores(name, kind):
    error = reported(kind("said", reason=name), "it", INPUTS)
    if FAULTS[name].retry is Retry.NEVER:
        assert not isinstance(error, Unavailable | Aborted | InputFailed)
    else:
        assert isinstance(error, EncoderLost)
        assert error.is_unfit == (FAULTS[name].retry is Retry.ELSEWHERE)
    assert (error.reason, "said" in error.message) == (name, True)


def test_before_the_encoder_took_the_task_no_attempt_is_lost():
    assert isinstance(reported(Unavailable("", reason="DRAINING"), "it", INPUTS, is_accepted=False), EncoderBusy)


def test_behind_a_queue_no_worker_is_unfit():
    assert not reported(Unavailable("", reason="CODEC_FAILED"), "it", INPUTS, is_queue=True).is_unfit


@pytest.mark.parametrize("kind", [Unavailable, DeadlineExceeded])
def test_an_input_that_does_not_come_is_not_the_encoders_fault(kind):
    error = reported(kind("image_url: slow", fields={"image_url": "slow"}), "it", INPUTS)
    assert isinstance(error, InputFailed)
    assert isinstance(error.error, kind)


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (Unavailable("gone"), Blame.WORKER),
        (Internal("a bug"), Blame.WORKER),
        (Unavailable("what", reason="OF_A_LATER_VERSION"), Blame.WORKER),
        (InvalidArgument("url_srt: no subtitles"), Blame.TASK),
        (DeadlineExceeded("over the wall time"), Blame.TASK),
        (NotFound("gone"), Blame.TASK),
        (PermissionDenied("no"), Blame.TASK),
        (Unimplemented("unknown operation"), Blame.TASK),
    ],
)
def test_what_no_reason_explains_is_told_by_its_class(error, blame):
    assert verdict(error).blame is blame
