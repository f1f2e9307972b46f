"""What a client in any language must do: caption a video from end to end over mTLS, and fail in the right way."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from api_gpu.local.certs import make_set
from tests.support.judge import facts
from tests.support.media import srt, video
from tools.pair import Pair

CLIENT_SECONDS = 120

Command = Sequence[str | Path]
Done = subprocess.CompletedProcess[str]


class ClientContract:
    """A module with a fixture `client`, the command that runs the client, inherits these tests."""

    def test_captions_a_video(self, client: Command, pair: Pair, inputs: tuple[Path, Path], tmp_path: Path) -> None:
        out = tmp_path / "out.mp4"
        done = call(client, pair.target, pair.certificates, pair.key, inputs, out)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        content = out.read_bytes()
        assert result["status"] == "COMPLETED"
        assert result["bytes"] == len(content)
        assert result["sha256"] == hashlib.sha256(content).hexdigest()
        assert "progress events, COMPLETED" in done.stderr
        before, after = facts(inputs[0]), facts(out)
        assert (after.frames, after.width, after.height) == (before.frames, before.width, before.height)

    def test_a_failed_job_is_an_error(
        self, client: Command, pair: Pair, inputs: tuple[Path, Path], tmp_path: Path
    ) -> None:
        no_video = inputs[1]
        done = call(client, pair.target, pair.certificates, pair.key, (no_video, no_video), tmp_path / "out.mp4")
        assert done.returncode == 1
        assert "FAILED: " in done.stderr
        assert not done.stdout

    def test_a_wrong_key_is_unauthenticated(
        self, client: Command, pair: Pair, inputs: tuple[Path, Path], tmp_path: Path
    ) -> None:
        done = call(client, pair.target, pair.certificates, "wrong", inputs, tmp_path / "out.mp4")
        assert done.returncode == 1
        assert "UNAUTHENTICATED" in done.stderr.upper()

    def test_a_strange_certificate_does_not_connect(
        self, client: Command, pair: Pair, inputs: tuple[Path, Path], tmp_path: Path
    ) -> None:
        strange = tmp_path / "certs"
        make_set(strange)
        shutil.copy(pair.certificates / "ca.crt", strange)
        done = call(client, pair.target, strange, pair.key, inputs, tmp_path / "out.mp4")
        assert done.returncode == 1
        assert "UNAUTHENTICATED" not in done.stderr.upper()
        assert not done.stdout


def call(client: Command, target: str, certs: Path, key: str, inputs: tuple[Path, Path], out: Path) -> Done:
    """Run a client to its end."""
    return subprocess.run(
        [*client, target, certs, *inputs, out],
        env={**os.environ, "X_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS,
    )


def make_inputs(folder: Path) -> tuple[Path, Path]:
    """A small video, larger than one chunk of an upload, and subtitles for it."""
    options = ("-crf", "1")  # for its size
    return (
        video(folder / "video.mp4", 2, "640x360", 25, True, *options),
        srt(folder / "subtitles.srt", [(0.4, 0.8, "Captions, burned in"), (1.2, 1.6, "by api-gpu")]),
    )
