"""Small local files go along with the request for a job; the gateway reads them as it reads data: URIs."""

import os
from pathlib import Path

import pytest

from api_gpu.inline import MAX_BYTES, inlined
from gateway.sources import inline
from servicekit.errors import NotFound


def test_small_files_go_along_under_their_names(tmp_path: Path) -> None:
    video, captions = tmp_path / "é a;b,c%.mp4", tmp_path / "words.srt"
    video.write_bytes(bytes(range(256)))
    captions.write_text("Hi")
    sent = [str(source) for source in inlined([video, "https://example.com/a.mp4", str(captions), "assets/a", video])]
    assert (sent[1], sent[3]) == ("https://example.com/a.mp4", "assets/a")
    assert sent[0] == sent[4]
    found = [inline.parse(sent[index]) for index in (0, 2)]
    assert [(file.filename, file.content_type) for file in found] == [
        (video.name, "video/mp4"),
        (captions.name, "application/x-subrip"),
    ]
    assert [file.data for file in found] == [video.read_bytes(), b"Hi"]


def test_files_that_are_large_together_are_uploaded(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_bytes(bytes(MAX_BYTES // 2))
    assert inlined(files) != files
    files[1].write_bytes(bytes(MAX_BYTES // 2 + 1))
    assert inlined(files) == files


def test_empty_files_and_pipes_are_uploaded(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "pipe"):
        assert inlined([tmp_path / name]) == [tmp_path / name]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing"):
        inlined([tmp_path / "missing"])
