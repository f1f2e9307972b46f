"""The command line in scripts and pipes: standard input and output, JSON, silence, and where it finds the pair."""

import json
import os
import pty
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from api_gpu import Client
from tests.integration.api_gpu.conftest import Run
from tests.support.command_line import command, environment
from tools.media_check import footage
from tools.pair import Pair
from tools.samples import Samples


@pytest.mark.parametrize("is_pipe", [True, False])
def test_a_video_goes_through(pair: Pair, media: Samples, tmp_path: Path, is_pipe: bool) -> None:
    text = " ".join(map(shlex.quote, command("caption", "-", media.subtitles, "-o", "-", "-q")))
    video = shlex.quote(str(media.video))
    line = f"cat {video} | {text} | cat > out.mp4" if is_pipe else f"{text} < {video} > out.mp4"
    done = subprocess.run(line, shell=True, env=environment(pair), cwd=tmp_path, stderr=subprocess.PIPE, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    assert footage(tmp_path / "out.mp4").frames == footage(media.video).frames
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_clip_on_standard_output_stands_alone_there(pair: Pair, media: Samples, tmp_path: Path) -> None:
    arguments = command("img2vid", media.images[0], "--seconds", 0.1, "-o", "-", "--json", "-q")
    with (tmp_path / "out.mp4").open("wb") as out:
        done = subprocess.run(arguments, env=environment(pair), cwd=tmp_path, stdout=out, timeout=120)
    assert done.returncode == 0
    assert b'"files"' not in (tmp_path / "out.mp4").read_bytes()
    assert footage(tmp_path / "out.mp4").frames == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("caption", "-", "-", "-o", "out.mp4"), "one input alone"),
        (("img2vid", "a.png", "b.png", "-o", "-"), "need a folder"),
    ],
)
def test_standard_input_and_output_are_one_file_each(run: Run, arguments: tuple[str, ...], text: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_terminal_is_no_video(pair: Pair, media: Samples) -> None:
    _, end = pty.openpty()
    none = subprocess.DEVNULL
    for arguments, stdin, stdout in (
        (("-", media.subtitles), end, none),
        ((media.video, media.subtitles, "-o", "-"), none, end),
    ):
        done = subprocess.run(
            command("caption", *arguments), env=environment(pair), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
        )
        assert done.returncode == 2
        assert b"which is the terminal" in done.stderr


def test_programs_get_json(run: Run, client: Client, media: Samples, tmp_path: Path) -> None:
    done = run("img2vid", media.images[0], "--seconds", 0.1, "-o", "out.mp4", "--json", "--quiet")
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["files"]) == (0, "", ["out.mp4"])
    job = client.get(told["job"]["id"])
    assert told["job"]["clips"][0]["asset"] == job.clips[0].asset
    assert told["job"]["created"] == job.created.isoformat()  # type: ignore[union-attr]

    listed = json.loads(run("--json", "jobs", "--limit", 1).stdout)
    assert [each["id"] for each in listed] == [job.id]
    assert json.loads(run("watch", job.id, "--json", "-q").stdout)["status"] == "COMPLETED"
    quote = json.loads(run("img2vid", media.images[0], "--dry-run", "--json").stdout)
    assert quote["ok"] is True
    fleet = json.loads(run("fleet", "--json").stdout)
    assert "machines" in fleet
    assert [(one["ready"], one["codecs"], one["rented"]) for one in fleet["encoders"]] == [(True, ["x264"], False)]
    told = run("fleet")
    assert told.stdout == ""  # rows are of rented machines
    assert "1 of 1 encoders answer, " in told.stderr


def test_a_job_that_failed_in_part_is_told_as_json_all_the_same(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    done = run("img2vid", media.images[0], "broken.png", "--seconds", 0.1, "-o", "clips", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["files"]) == (1, ["clips/still.mp4"])
    assert told["job"]["clips"][1]["error"]["status"] == "INVALID_ARGUMENT"


def test_quiet_tells_warnings_and_errors_alone(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text('[{"text": "Hello", "start": 0, "end": 0.4}]')
    options = "--words", "words.json", "--preset", "pop", "--readability", "standard"
    done = run("caption", media.video, *options, "-o", "out.mp4", "-q")
    assert (done.returncode, done.stdout) == (0, "out.mp4\n")
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines())
    assert "caption 1 is shown for 0.4 s" in done.stderr


def test_the_version_and_short_help(run: Run) -> None:
    assert run("--version").stdout == f"{version('api-gpu')}\n"
    assert run("-h").stdout == run("--help").stdout
    assert run("caption", "-h").returncode == 0


def test_a_pair_is_found_from_a_folder_below(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / ".api-gpu").symlink_to(pair.data_dir)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings = {name: value for name, value in environment(pair).items() if name != "DATA_DIR"}
    arguments = command("jobs", "--limit", 1, "--server", pair.target)
    done = subprocess.run(arguments, cwd=below, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_result_is_opened_in_the_browser(run: Run, client: Client, media: Samples, tmp_path: Path) -> None:
    browser = tmp_path / "xdg-open"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    job = client.thumbnail(media.video).wait()
    done = run("open", job.id, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("http")
    assert (tmp_path / "opened").read_text() == done.stdout

    running = client.img2vid([media.images[0]], seconds=600)
    done = run("open", running.id)
    running.cancel()
    assert done.returncode == 1
    assert "watch" in done.stderr


def test_who_stops_reading_gets_no_traceback(pair: Pair) -> None:
    arguments = command("--json", "jobs")
    with subprocess.Popen(arguments, env=environment(pair), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
        process.wait(60)
    assert b"Traceback" not in told
