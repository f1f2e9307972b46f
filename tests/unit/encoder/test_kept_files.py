"""Files that are kept of one task for the next: whose they are, how many, and for how long."""

import asyncio
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from encoder.ffmpeg.command import FfmpegRun
from encoder.media.info import Source
from encoder.tasks.kept import KeptFiles

RUN = FfmpegRun(("-i", "input0", "still0.yuv"), ("image",), keeps=("still0.yuv",))
SOURCES = {"image": Source("image", Path("input0"), sha256="a")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a task that made a still."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "still0.yuv").write_bytes(b"still")
    return tmp_path / "first"


def anew(folder: Path, name: str) -> Path:
    made = folder.parent / name
    made.mkdir()
    return made


async def test_the_same_run_of_the_same_input_is_not_made_again(folder: Path) -> None:
    kept, other = KeptFiles(), anew(folder, "other")
    assert not await kept.restore(RUN, SOURCES, other)
    await kept.keep(RUN, SOURCES, folder)
    assert await kept.restore(RUN, SOURCES, other)
    assert (other / "still0.yuv").read_bytes() == b"still"


@pytest.mark.parametrize(
    ("run", "sha256"),
    [
        (RUN, "b"),
        (RUN, ""),  # its digest is not known
        (replace(RUN, arguments=("-i", "input0", "-vf", "hflip", "still0.yuv")), "a"),
        (replace(RUN, cut_off_signs=""), "a"),
        (replace(RUN, keeps=()), "a"),
        (replace(RUN, fields=("image", "another")), "a"),
        (replace(RUN, fields=()), "a"),
    ],
)
async def test_nothing_is_taken_from_another_run_or_another_input(folder: Path, run: FfmpegRun, sha256: str) -> None:
    kept, other, sources = KeptFiles(), anew(folder, "other"), {"image": replace(SOURCES["image"], sha256=sha256)}
    await kept.keep(RUN, SOURCES, folder)
    assert not await kept.restore(run, sources, other)


async def test_nothing_is_kept_of_a_task_that_reads_something_else_too(folder: Path) -> None:
    kept, sources = KeptFiles(), {**SOURCES, "other": Source("other", Path("input1"), sha256="b")}
    await kept.keep(RUN, sources, folder)
    assert not await kept.restore(RUN, SOURCES, anew(folder, "other"))
    twice = {**SOURCES, "again": Source("again", Path("input0"), sha256="a")}
    await kept.keep(RUN, twice, folder)
    assert await kept.restore(RUN, SOURCES, anew(folder, "another"))


async def test_what_was_used_last_stays_as_far_as_there_is_room(folder: Path) -> None:
    kept = KeptFiles(max_bytes=12)
    others = [{"image": replace(SOURCES["image"], sha256=name)} for name in ("b", "c")]
    await kept.keep(RUN, SOURCES, folder)
    await kept.keep(RUN, others[0], folder)
    assert await kept.restore(RUN, SOURCES, anew(folder, "1"))
    await kept.keep(RUN, others[1], folder)
    found = [await kept.restore(RUN, one, anew(folder, f"x{n}")) for n, one in enumerate((SOURCES, *others))]
    assert found == [True, False, True]
    (folder / "still0.yuv").write_bytes(b"large" * 2)
    await kept.keep(RUN, others[0], folder)
    assert not await kept.restore(RUN, others[0], anew(folder, "2"))


async def test_of_many_large_files_no_more_is_read_than_may_be_kept(folder: Path) -> None:
    names = tuple(f"still{number}.yuv" for number in range(1, 9))
    for name in names:
        (folder / name).touch()
        os.truncate(folder / name, 2**20)
    tracemalloc.start()
    try:
        await KeptFiles(max_bytes=2**21).keep(replace(RUN, keeps=names), SOURCES, folder)
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    finally:
        tracemalloc.stop()


async def test_it_is_forgotten_soon(folder: Path) -> None:
    kept = KeptFiles(seconds=0.0)
    await kept.keep(RUN, SOURCES, folder)
    await asyncio.sleep(0.01)
    assert not await kept.restore(RUN, SOURCES, anew(folder, "other"))


async def test_what_a_shut_in_process_put_in_the_place_of_a_file_is_neither_read_nor_written(folder: Path) -> None:
    kept, other, secret = KeptFiles(), anew(folder, "other"), folder.parent / "secret"
    secret.write_bytes(b"secret")
    (other / "still0.yuv").symlink_to(secret)
    await kept.keep(RUN, SOURCES, other)
    assert not await kept.restore(RUN, SOURCES, anew(folder, "third"))
    await kept.keep(RUN, SOURCES, folder)
    assert not await kept.restore(RUN, SOURCES, other)
    assert secret.read_bytes() == b"secret"
