"""What `api-gpu log` prints of the attempts at a job."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.text import Text

from api_gpu.attempts import JobAttempt, JobLog
from api_gpu.cli.tables import print_attempts
from api_gpu.jobs import Job
from apigpu.v1 import jobs_pb2

COLOR = "\x1b[3"
BEGAN = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


def job(attempts: Sequence[JobAttempt] = (), status: jobs_pb2.Job.Status = jobs_pb2.Job.COMPLETED) -> Job:
    message = jobs_pb2.Job(status=status)
    if status is not jobs_pb2.Job.IN_QUEUE:
        message.end_time.FromDatetime(BEGAN)
    return replace(Job.from_message(message, None), attempts=tuple(attempts))


def attempt(item: str = "", message: str = "", outcome: str = "COMPLETED") -> JobAttempt:
    ended = BEGAN + timedelta(seconds=1.25)
    return JobAttempt(0, item, "encoder-3f9a21", "x264", outcome, "", message, BEGAN, ended, None)


def test_programs_get_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_attempts(job([attempt()]), [])
    assert capsys.readouterr().out == "2026-07-01 12:00:00Z\t\tencoder-3f9a21\tx264\t1.250\tCOMPLETED\t\n"


@pytest.mark.parametrize(
    ("attempts", "headings"),
    [
        ([attempt()], ["began", "encoder", "codec", "took", "outcome"]),
        (
            [attempt("clip 1", "it went away", "INTERRUPTED"), attempt("clip 2")],
            ["began", "task", "encoder", "codec", "took", "outcome", "why"],
        ),
    ],
)
def test_people_get_headings_over_the_columns_that_say_something(
    attempts: list[JobAttempt],
    headings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    print_attempts(job(attempts), [])
    first, *rows = Text.from_ansi(capsys.readouterr().out).plain.rstrip().splitlines()
    assert first.split() == headings
    assert len(rows) == len(attempts)


def test_colors_are_left_out_where_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_attempts(job([attempt()]), [])
    assert COLOR in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_attempts(job([attempt()]), [])
    assert COLOR not in capsys.readouterr().out


def test_a_job_that_waits_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_attempts(job(status=jobs_pb2.Job.IN_QUEUE), [])
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "no encoder has begun it yet\n")


def test_one_that_was_cancelled_before_is_not_told_to_wait(capsys: pytest.CaptureFixture[str]) -> None:
    print_attempts(job(status=jobs_pb2.Job.CANCELLED), [])
    assert capsys.readouterr().err == "it is CANCELLED, and no encoder had begun it\n"


def test_what_ffmpeg_said_is_told_with_its_encoder(capsys: pytest.CaptureFixture[str]) -> None:
    print_attempts(
        job([attempt()]), [JobLog(0, "", "encoder-3f9a21", BEGAN, "a\nb"), JobLog(1, "clip 2", "x", BEGAN, "c")]
    )
    assert capsys.readouterr().out.splitlines()[1:] == [
        "",
        "What FFmpeg said on encoder-3f9a21, 2026-07-01 12:00:00Z:",
        "a",
        "b",
        "",
        "What FFmpeg said of clip 2 on x, 2026-07-01 12:00:00Z:",
        "c",
    ]
