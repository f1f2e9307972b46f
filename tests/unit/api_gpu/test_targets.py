"""Where results are written: no file of the user's is lost, whatever it is called."""

import os
from pathlib import Path

import pytest
import typer

from api_gpu.assets import part_name
from api_gpu.cli.main import exit_code
from api_gpu.cli.options import FAILED
from api_gpu.cli.run import JobRunner
from api_gpu.cli.targets import check_targets, clip_targets, extra_targets, file_target, make_folder, may_write
from api_gpu.outcomes import ResultFile
from api_gpu.requests import stems
from servicekit.errors import FailedPrecondition

ASSET = f"assets/{'a' * 26}"


class Bytes:
    """A client whose downloads are written at once."""

    def download(self, asset: str, target: Path, on_bytes: object = None) -> Path:
        target.write_text("result")
        return target


class Silent:
    """A display of nothing."""

    def transfer(self, name: str) -> None:
        return None


class Made:
    """A job with a sheet beside its result."""

    files = (ResultFile("x.jpg", "assets/x", "", ""), ResultFile("sprites.jpg", ASSET, "", ""))


@pytest.fixture
def runner() -> JobRunner:
    return JobRunner(Bytes(), Silent(), None)  # type: ignore[arg-type]


def test_what_is_at_a_target_is_replaced_only_where_that_was_allowed(runner: JobRunner, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("mine")
    with pytest.raises(FailedPrecondition, match=rf"meanwhile; --force replaces it; the result is {ASSET}"):
        runner.fetch(ASSET, target)
    assert target.read_text() == "mine"
    runner.fetch(ASSET, target, replaces=True)
    assert target.read_text() == "result"


def test_a_link_stays_and_what_it_leads_to_is_replaced(runner: JobRunner, tmp_path: Path) -> None:
    (tmp_path / "linked.mp4").write_text("old")
    (tmp_path / "out.mp4").symlink_to(tmp_path / "linked.mp4")
    runner.fetch(ASSET, tmp_path / "out.mp4", replaces=True)
    assert (tmp_path / "out.mp4").is_symlink()
    assert (tmp_path / "linked.mp4").read_text() == "result"


def test_no_file_takes_the_place_of_a_pipe(runner: JobRunner, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert not check_targets([pipe], [], force=False)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    runner.fetch(ASSET, pipe)
    assert os.read(reader, 100) == b"result"
    os.close(reader)
    assert pipe.is_fifo()


def test_an_input_is_never_a_target(tmp_path: Path) -> None:
    mine = tmp_path / "mine.mp4"
    mine.touch()
    (tmp_path / "same.mp4").hardlink_to(mine)
    with pytest.raises(typer.BadParameter, match="is an input"):
        check_targets([tmp_path / "same.mp4"], [mine], force=True)
    assert not may_write(ASSET, tmp_path / "same.mp4", [mine], force=True)
    assert may_write(ASSET, tmp_path / "other.mp4", [mine], force=False)
    with pytest.raises(typer.BadParameter, match=r"mine\.mp4 exists; --force replaces it"):
        check_targets([mine], [], force=False)
    assert set(check_targets([mine, tmp_path / "new"], [], force=True)) == {mine}


@pytest.mark.parametrize(("name", "folder"), [("cover.jpg", "cover"), ("cover", "cover.files")])
def test_further_results_have_a_folder_beside_the_first_one(tmp_path: Path, name: str, folder: str) -> None:
    (tmp_path / name).touch()
    found = extra_targets(Made(), tmp_path / name, [], force=False)  # type: ignore[arg-type]
    assert found == {ASSET: tmp_path / folder / "sprites.jpg"}
    assert (tmp_path / folder).is_dir()


def test_further_results_replace_no_file_and_no_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cover").write_text("a file of this name")
    (tmp_path / "cover.jpg.files").mkdir()
    mine = tmp_path / "cover.jpg.files" / "sprites.jpg"
    mine.touch()
    job, target = Made(), tmp_path / "cover.jpg"
    assert extra_targets(job, target, [mine], force=True) == {}  # type: ignore[arg-type]
    assert extra_targets(job, target, [], force=False) == {}  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert ("sprites.jpg is an input" in said, "sprites.jpg exists; --force" in said) == (True, True)


def test_folders_are_made_only_when_all_is_checked(tmp_path: Path) -> None:
    assert clip_targets(tmp_path / "new" / "clips", ["a"]) == {"a": tmp_path / "new" / "clips" / "a.mp4"}
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notes.txt").touch()
    with pytest.raises(typer.BadParameter, match="cannot be a folder"):
        clip_targets(tmp_path / "notes.txt", ["a"])
    with pytest.raises(typer.BadParameter, match="cannot be a folder"):
        make_folder(tmp_path / "notes.txt" / "clips")
    with pytest.raises(typer.BadParameter, match="cannot be written: File name too long"):
        file_target(tmp_path / f"{'x' * 300}.mp4")
    with pytest.raises(typer.BadParameter, match=r"there is no folder .*absent; make it first"):
        file_target(tmp_path / "absent" / "out.mp4")
    with pytest.raises(typer.BadParameter, match="is a folder; name a file in it"):
        file_target(tmp_path)


def test_names_of_any_kind_serve() -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    assert stems([odd, "it's.png", odd]) == ["caf�", "it's", "caf�-2"]
    assert len(os.fsencode(part_name("é" * 120 + ".mp4", ASSET))) <= 255
    assert part_name("out.mp4", ASSET) == f".out.mp4.{'a' * 26}.part"


def test_a_file_that_the_system_refuses_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="File name too long") as caught:
        Path("x" * 300).stat()
    assert exit_code(caught.value) == FAILED
    assert "File name too long" in capsys.readouterr().err
