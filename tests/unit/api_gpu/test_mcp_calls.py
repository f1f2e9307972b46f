"""Tools for language models: which files they read and write, and what they answer to arguments that cannot be."""

from pathlib import Path
from typing import Any

import pytest

from api_gpu import Clip
from api_gpu.mcp.calls import Files, ToolCall
from apigpu.options import Status
from servicekit.errors import DataLoss, InvalidArgument, NotFound, PermissionDenied

SOURCE = "url"


class Batch:
    """A completed job of clips."""

    ended, quote = True, None
    clips = tuple(Clip(str(number), f"assets/{number}", "", None) for number in range(2))

    def checked(self) -> "Batch":
        return self


class Broken:
    """A client whose downloads fail, and whose lists are empty."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def jobs(self, *status: Any, **wanted: Any) -> Any:
        self.calls.append((*status, wanted))
        return iter(())

    def get(self, job_id: str) -> Batch:
        return Batch()

    def asset(self, name: str) -> Any:
        return type("Described", (), {"filename": "talk.mp4"})

    def download(self, asset: str, target: Path) -> None:
        raise DataLoss(asset)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "videos"
    made.mkdir()
    return made


@pytest.fixture
def call(folder: Path) -> ToolCall:
    return ToolCall(Broken(), Files(folder, is_fetching=True), lambda *_: None)  # type: ignore[arg-type]


def test_results_of_calls_side_by_side_take_names_of_their_own(folder: Path) -> None:
    files = Files(folder, is_fetching=True)
    names = [files.new(name).name for name in ("talk.mp4", "talk.mp4", "../talk.mp4", "talk.mp4")]
    assert names == ["talk.mp4", "talk-2.mp4", "talk-3.mp4", "talk-4.mp4"]


@pytest.mark.parametrize("name", ["", ".", "..", "/", "../.."])
def test_a_result_without_a_name_comes_to_the_folder_too(folder: Path, name: str) -> None:
    made = Files(folder, is_fetching=True).new(name)
    assert made.is_file()
    assert [*folder.iterdir()] == [made]


def test_nothing_is_left_of_a_result_that_does_not_come(folder: Path, call: ToolCall) -> None:
    with pytest.raises(DataLoss):
        call.run("fetch_results", {"id": "a"})
    assert not [*folder.iterdir()]


@pytest.mark.parametrize("source", ["loop", "loop/a", "a\0b", "a" * 5000, "assets/" + "a" * 5000, ".", ""])
def test_names_of_no_file_are_told(folder: Path, source: str) -> None:
    (folder / "loop").symlink_to("loop")
    files = Files(folder, is_fetching=True)
    if source.startswith("assets/"):
        assert files.readable(source, SOURCE) is None
        return
    with pytest.raises(NotFound) as told:
        files.readable(source, SOURCE)
    assert len(told.value.message) < 1000


@pytest.mark.parametrize("source", ["../secret", "out", "out/secret", "/etc/passwd"])
def test_nothing_outside_the_folder_is_read(folder: Path, source: str) -> None:
    (folder.parent / "secret").write_text("mine")
    (folder / "out").symlink_to(folder.parent / ("secret" if source == "out" else ""))
    with pytest.raises(PermissionDenied):
        Files(folder, is_fetching=True).readable(source, SOURCE)


def test_a_folder_that_is_called_assets_is_that_of_the_server(folder: Path) -> None:
    (folder / "assets").mkdir()
    (folder / "assets" / "a.mp4").write_text("film")
    files = Files(folder, is_fetching=True)
    assert files.readable("assets/a.mp4", SOURCE) == folder / "assets" / "a.mp4"
    assert files.readable("assets/b.mp4", SOURCE) is None


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_jobs", {"status": "DONE"}),
        ("list_jobs", {"page_size": -1}),
        ("list_jobs", {"metadata": [1]}),
        ("list_jobs", {"since_when": "a"}),
        ("get_job", {"id": "a", "wait_seconds": "long"}),
        ("probe", {"url": "https://example.com/a.mp4", "wait_seconds": -1}),
        ("probe", {"message": "a"}),
    ],
)
def test_arguments_that_cannot_be_are_told(call: ToolCall, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        call.run(tool, arguments)


def test_jobs_are_listed_as_they_are_asked_for(call: ToolCall) -> None:
    call.run("list_jobs", {"status": "COMPLETED", "operation": "caption", "metadata": ["order=7"], "page_size": 3})
    call.run("list_jobs", {})
    assert call.client.calls == [  # type: ignore[attr-defined]
        (Status.COMPLETED, {"operation": "caption", "metadata": {"order": "7"}}),
        (None, {"operation": "", "metadata": {}}),
    ]


@pytest.mark.parametrize("source", [".env", ".api-gpu/key", "films/.hidden/talk.mp4"])
def test_hidden_files_are_not_uploaded(folder: Path, source: str) -> None:
    file = folder / source
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("X_API_KEY=secret")
    (folder / "talk.mp4").symlink_to(file)
    files = Files(folder, is_fetching=True)
    for name in (source, "talk.mp4"):
        with pytest.raises(PermissionDenied, match="begins with a dot"):
            files.readable(name, "url_video")
