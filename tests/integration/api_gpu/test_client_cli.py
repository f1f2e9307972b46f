"""The command line, as a process against the real pair."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from api_gpu import Client, Status
from api_gpu.inline import MAX_BYTES
from tests.integration.api_gpu.conftest import Run
from tests.support.command_line import api_gpu, command, environment, stored
from tools.media_check import footage
from tools.pair import Pair
from tools.samples import Samples, ffmpeg


def test_caption_writes_the_file_and_prints_its_name(run: Run, media: Samples, tmp_path: Path) -> None:
    done = run("caption", media.video, media.subtitles, "-o", "out.mp4")
    assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
    assert footage(tmp_path / "out.mp4").frames == footage(media.video).frames
    assert "upload" not in done.stderr  # small files go along with the request
    assert "completed after" in done.stderr
    assert "download out.mp4" in done.stderr


def test_caption_makes_captions_of_words_alone(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text('{"segments": [{"words": [{"word": " Hello", "start": 0, "end": 0.4}]}]}')
    options = "--words", "words.json", "--preset", "pop", "--words-per-line", 2, "--readability", "standard"
    done = run("caption", media.video, *options, "-o", "out.mp4")
    assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
    assert footage(tmp_path / "out.mp4").frames == footage(media.video).frames
    assert "caption 1 is shown for 0.4 s" in done.stderr


def test_addaudio_names_its_result_itself(run: Run, media: Samples, tmp_path: Path) -> None:
    done = run("addaudio", media.video, media.audio)
    assert (done.returncode, done.stdout) == (0, "clip-addaudio.mp4\n"), done.stderr
    assert footage(tmp_path / "clip-addaudio.mp4").audio_seconds == pytest.approx(1.5, abs=0.1)


def test_img2vid_writes_a_clip_for_each_image(run: Run, media: Samples, tmp_path: Path) -> None:
    done = run("img2vid", *media.images, "--seconds", 0.5, "--fps", 10, "-o", "clips")
    assert (done.returncode, done.stdout) == (0, "clips/still.mp4\nclips/still-2.mp4\n"), done.stderr
    assert [footage(tmp_path / name).frames for name in done.stdout.split()] == [5, 5]


def test_an_image_that_fails_does_not_hide_the_others(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    done = run("img2vid", media.images[0], "broken.png", "--seconds", 0.5, "-o", "one")
    assert (done.returncode, done.stdout) == (1, "one/still.mp4\n")
    assert re.search(r"api-gpu: broken: .+", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_job_can_be_tried_again_with_its_uploads(run: Run, media: Samples, client: Client, tmp_path: Path) -> None:
    done = run("img2vid", noise(tmp_path / "large.png"), media.images[0], "--seconds", 0.1, "-o", "out")
    assert "upload still.png" in done.stderr
    (job, *_) = client.jobs()
    again = run("retry", job.id)
    assert again.returncode == 0, again.stderr
    assert client.get(again.stdout.strip()).wait().checked().total == 2


def noise(path: Path) -> Path:
    """Write a picture that is too large to go along with a request."""
    picture = "nullsrc=size=960x540,noise=alls=100:allf=u,format=rgb24"
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", "1", str(path))
    assert path.stat().st_size > MAX_BYTES
    return path


def test_a_failed_job_is_told_plainly(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "broken.srt").write_text("no cue at all\n")
    done = run("caption", media.video, "broken.srt", "-o", "out.mp4")
    assert (done.returncode, done.stdout) == (1, "")
    assert "\napi-gpu: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("img2vid", "a.png", "b.png", "-o", "out.mp4"), "need a folder"),
        (("img2vid", "a.png", "--seconds", "0"), "--seconds"),
        (("caption", "a.mp4", "a.srt", "-o", "absent/out.mp4"), "there is no folder absent; make it first"),
        (("caption", "a.mp4"), "SUBTITLES"),
        (("jobs", "--status", "LOST"), "--status"),
        (("jobs", "--server"), "--server"),
        (("img2vid", "a.png", "-o", "notes.txt"), "notes.txt cannot be a folder"),
        (("up", "--server", "localhost:1"), "takes --data-dir, --key and --grpc-port"),
        (("up", "--data-dir", "notes.txt/data"), "api-gpu: cannot write to "),
        (("certs", "--dir", "notes.txt/certs"), "notes.txt/certs: Not a directory"),
        (("edit",), "edit"),
    ],
)
def test_wrong_usage_exits_with_2(run: Run, tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    (tmp_path / "notes.txt").touch()
    done = run(*arguments)
    assert done.returncode == 2
    assert text.lower() in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_told_before_anything_is_sent(run: Run, media: Samples) -> None:
    done = run("caption", media.video, "absent.srt", "-o", "out.mp4")
    assert done.returncode == 1
    assert done.stderr == "api-gpu: cannot read absent.srt: no such file or folder.\n"


def test_an_output_that_is_an_input_is_refused(run: Run, media: Samples, tmp_path: Path) -> None:
    video = tmp_path / "mine.mp4"
    video.write_bytes(media.video.read_bytes())
    (tmp_path / "link.mp4").symlink_to(video)
    (tmp_path / "again.mp4").hardlink_to(video)
    before = video.read_bytes()
    for target in ("mine.mp4", tmp_path / "mine.mp4", "./mine.mp4", "link.mp4", "again.mp4"):
        done = run("caption", "mine.mp4", media.subtitles, "-o", target, "--force")
        assert done.returncode == 2, target
        assert "is an input" in " ".join(done.stderr.replace("│", " ").split())  # in a box, wherever it wraps
        done = run("addaudio", media.video, "mine.mp4", "-o", target, "--force")
        assert (done.returncode, video.read_bytes() == before) == (2, True)


def test_a_clip_does_not_take_the_place_of_an_input(run: Run, media: Samples, tmp_path: Path) -> None:
    still = tmp_path / "still.mp4"  # an image, whatever its name
    still.write_bytes(media.images[0].read_bytes())
    done = run("img2vid", "still.mp4", "--seconds", 0.1, "--force")
    assert done.returncode == 2
    assert still.read_bytes() == media.images[0].read_bytes()


def test_a_file_that_exists_is_replaced_only_by_force(run: Run, media: Samples, tmp_path: Path) -> None:
    target = tmp_path / "clip-addaudio.mp4"
    target.write_text("kept")
    done = run("addaudio", media.video, media.audio)
    assert done.returncode == 2
    assert "clip-addaudio.mp4 exists; --force replaces it" in done.stderr
    assert target.read_text() == "kept"
    assert run("addaudio", media.video, media.audio, "--force").returncode == 0
    assert footage(target).audio_seconds == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_a_terminal_is_asked_before_a_file_is_replaced(
    pair: Pair, media: Samples, tmp_path: Path, answer: str, code: int
) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("kept")
    terminal, end = pty.openpty()
    arguments = command("img2vid", media.images[0], "--seconds", 0.1, "-o", "out.mp4")
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(pair), stdin=end, stdout=subprocess.PIPE, stderr=end, text=True
    ) as process:
        os.close(end)
        os.write(terminal, f"{answer}\n".encode())
        drawn = read_all(terminal)
        assert process.wait(60) == code
    assert "out.mp4 exists. Replace it?" in drawn
    assert (target.read_bytes() == b"kept") == (answer == "n")


def test_a_missing_file_is_told_before_missing_certificates(run: Run, media: Samples) -> None:
    done = run("caption", "absent.mp4", media.subtitles, DATA_DIR="absent")
    assert done.returncode == 1
    assert done.stderr == "api-gpu: cannot read absent.mp4: no such file or folder.\n"


def test_options_of_the_program_stand_anywhere(pair: Pair, run: Run) -> None:
    first, after = run("--key", "wrong", "jobs"), run("jobs", "--key", "wrong")
    assert (first.returncode, after.returncode) == (1, 1)
    assert first.stderr == after.stderr
    assert run("jobs", "--limit", 1, f"--server={pair.target}", DATA_DIR=str(pair.data_dir)).returncode == 0
    assert run("jobs", DATA_DIR="absent").returncode == 1


def test_an_environment_with_several_keys_serves(pair: Pair, run: Run) -> None:
    assert run("jobs", X_API_KEY=f"{pair.key},other").returncode == 0


def test_jobs_watch_and_cancel(run: Run, client: Client, media: Samples) -> None:
    job = client.img2vid([media.images[0]], seconds=600)
    line = next(line for line in run("jobs", "--limit", 5).stdout.splitlines() if line.startswith(job.id))
    cells = line.split("\t")
    assert (cells[2:4], cells[-1]) == (["img2vid", "0/1"], media.images[0].name)
    assert run("cancel", job.id).stdout == f"job {job.id} is cancelled\n"
    again = run("cancel", job.id)
    assert again.returncode == 1
    assert "already" in again.stderr
    assert run("watch", job.id).returncode == 1
    assert job.id in run("jobs", "--status", "CANCELLED").stdout

    done = client.img2vid([media.images[0]], seconds=0.1).wait()
    watched = run("watch", done.id)
    assert (watched.returncode, watched.stdout) == (0, f"{watched.stdout.strip()}\n")
    assert watched.stdout.startswith("http")

    again = client.get(run("retry", done.id).stdout.strip()).wait()
    assert (again.inputs, again.request.retry_of) == (done.inputs, done.id)
    assert client.asset(again.clips[0].asset).filename == f"{media.images[0].stem}-img2vid.mp4"
    assert [one.filename for one in islice(client.assets("video"), 2)] == [f"{media.images[0].stem}-img2vid.mp4"] * 2
    listed = run("assets", "--limit", 1).stdout.split("\t")
    assert listed[:3] == [again.clips[0].asset, f"{media.images[0].stem}-img2vid.mp4", "video/mp4"]


def test_watch_tells_the_image_that_failed(run: Run, client: Client, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_text("no image")
    job = client.img2vid({"broken": tmp_path / "broken.png", "still": media.images[0]}, seconds=0.1)
    done = run("watch", job.id)
    link, expiry, _ = done.stdout.partition("?expires=")
    assert (done.returncode, done.stdout.count("\n"), bool(expiry)) == (1, 1, True)
    assert job.refresh().clips[1].video_url.startswith(link)
    assert re.search(r"^api-gpu: broken: .+", done.stderr, re.MULTILINE)


def test_ctrl_c_cancels_the_job(pair: Pair, client: Client, media: Samples, tmp_path: Path) -> None:
    arguments = command("img2vid", media.images[0], "--seconds", 600, "-o", "out.mp4")
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(pair), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "frames" in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        said = process.stderr.read()
    (job_id,) = re.findall(r"job (\S+):", line)
    assert f"api-gpu: job {job_id} is cancelled" in said
    assert client.get(job_id).status is Status.CANCELLED
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_an_upload_leaves_nothing(pair: Pair, client: Client, media: Samples, tmp_path: Path) -> None:
    before = stored(pair)
    pipe = tmp_path / "endless.mp4"
    os.mkfifo(pipe)
    arguments = command("addaudio", pipe, media.audio, "-o", "out.mp4")
    with subprocess.Popen(arguments, env=environment(pair), stderr=subprocess.PIPE, text=True) as process:
        with pipe.open("wb", buffering=0) as endless:
            for _ in range(4):
                endless.write(b"x" * 1024 * 1024)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            # The pipe is open, and gives nothing more.
            assert process.wait(60) == 130
        assert process.stderr is not None
        assert "no job was started" in process.stderr.read()
    assert stored(pair) == before


def test_on_a_terminal_bars_are_drawn(pair: Pair, tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    arguments = command("img2vid", noise(tmp_path / "large.png"), "--seconds", 2, "-o", "out.mp4")
    settings = {**environment(pair), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=settings, stdout=subprocess.PIPE, stderr=end, text=True
    ) as process:
        os.close(end)
        drawn = read_all(terminal)
        assert process.wait(60) == 0
    assert "\x1b[" in drawn
    assert "upload large.png" in drawn
    assert re.search(r"\d+/48 frames", drawn)
    assert re.search(r"download out\.mp4.*MB/s", drawn)


def read_all(terminal: int) -> str:
    """What comes out of a terminal until its other side is closed."""
    parts: list[bytes] = []
    try:
        while data := os.read(terminal, 65536):
            parts.append(data)
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(terminal)
    return b"".join(parts).decode(errors="replace")


def test_certs_makes_a_set_and_keeps_it(pair: Pair, tmp_path: Path) -> None:
    made = api_gpu(pair, tmp_path, "certs", "--dir", "mine", "--host", "gpu.example.com")
    assert (made.returncode, made.stdout) == (0, "certificates are in mine\n")
    certificate = (tmp_path / "mine" / "gateway.crt").read_bytes()
    assert "it is kept" in api_gpu(pair, tmp_path, "certs", "--dir", "mine").stdout
    assert (tmp_path / "mine" / "gateway.crt").read_bytes() == certificate


def test_doctor_tells_of_encoder_and_gateway(run: Run) -> None:
    done = run("doctor")
    assert done.returncode == 0, done.stderr
    assert "x264" in done.stdout
    assert re.search(r"gateway\s+healthy at localhost:\d+, encoders 1", done.stdout)


def test_doctor_exits_with_1_where_only_the_gateway_is_absent(run: Run) -> None:
    done = run("doctor", DATA_DIR="absent")
    assert done.returncode == 1
    assert "x264" in done.stdout
    assert re.search(r"gateway\s+no answer: .*certs", done.stdout)


def test_doctor_exits_with_2_for_a_wrong_setting(run: Run) -> None:
    done = run("doctor", BATCH_SIZE="none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "BATCH_SIZE='none'" in done.stderr


def test_help_loads_no_grpc() -> None:
    code = (
        "import sys, api_gpu.cli.main; sys.exit(bool({'grpc', 'google.protobuf', 'rich.progress'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_package_is_typed_and_loads_grpc_only_when_it_is_needed() -> None:
    code = (
        "import sys, api_gpu; from api_gpu import CaptionStyle, Still, Status; early = 'grpc' in sys.modules;"
        "from api_gpu import Client, Job, errors; errors.ServiceError;"
        "[getattr(api_gpu, name) for name in api_gpu.__all__];"
        "sys.exit(early or 'grpc' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
