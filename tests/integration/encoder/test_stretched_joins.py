"""Films joined of many pieces, of which FFmpeg puts together no more than the ends, against FFmpeg putting together
all."""

import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import X264
from encoder.ffmpeg.command import FfmpegRun
from encoder.ffmpeg.process import bundled_binary
from encoder.media import packet_index, probe
from encoder.media.info import Source
from encoder.media.pieces import PacketSpan, cut_out
from encoder.media.sample_index import SampleIndex, SampleRun, append_index
from encoder.operations import caption_join, joining
from encoder.operations.plan import Plan, PlanContext
from tests.support import split_films

SECONDS, PIECE_SECONDS = 20, 2
PICTURES = SECONDS * split_films.RATE
# More than a film lasts.
LATE_TICKS = 5_000_000
FILMS = {
    "B-frames": (),
    "no B-frames": ("-bf", "0"),
    "keyframes alone": ("-g", "1", "-bf", "0"),
    "a rate that is no whole number": ("-r", "10000/1001"),
    "sound that begins late": ("-af", "asetpts=PTS+3/TB"),
    "no sound": ("-an",),
}


def without_times(run: SampleRun) -> SampleRun:
    return replace(run, times=None)


def decoded_otherwise(run: SampleRun) -> SampleRun:
    assert run.times is not None
    return replace(run, times=replace(run.times, delays=run.times.delays + 1))


def standing_still(run: SampleRun) -> SampleRun:
    assert run.times is not None
    return replace(run, times=replace(run.times, begins=run.times.begins * 0))


def needing_others(run: SampleRun) -> SampleRun:
    assert run.times is not None
    return replace(run, times=replace(run.times, keys=~run.times.keys))


# How what is read of a piece is not as FFmpeg would tell it, and in which piece.
ODD = {
    "times that are not told": (5, without_times),
    "pictures that stand still": (5, standing_still),
    "delays that FFmpeg tells otherwise": (0, decoded_otherwise),
    "keyframes that FFmpeg tells otherwise": (9, needing_others),
}


def pieces_of(film: Path, folder: Path) -> list[Path]:
    """Cut a film at keyframes, without encoding any of it."""
    source = Source("film", film)
    index = packet_index.read_index(source, probe.probe_video(source)[0])
    assert index is not None
    keys = np.flatnonzero(index.picture.keys)
    wanted = np.arange(PIECE_SECONDS, SECONDS, PIECE_SECONDS) * split_films.RATE
    cuts = sorted({int(keys[np.argmin(np.abs(keys - place))]) for place in wanted})
    bounds = [0, *cuts, len(index.picture.times)]
    times = [index.picture.times[place] * float(index.picture.time_base) for place in cuts]
    found = []
    for number in range(len(bounds) - 1):
        spans = [PacketSpan(index.picture.stream, int(index.picture.times[bounds[number]]), 0)]
        spans[0] = replace(spans[0], count=bounds[number + 1] - bounds[number])
        for sound in index.sound:
            edges = [0, *np.searchsorted(sound.times * float(sound.time_base), times).tolist(), len(sound.times)]
            first, count = edges[number], edges[number + 1] - edges[number]
            spans.append(PacketSpan(sound.stream, int(sound.times[first]) if count else 0, count))
        found.append(folder / f"piece{number}")
        cut_out(source, spans, found[-1])
        append_index(found[-1])
    return found


@pytest.fixture(scope="module", params=FILMS.values(), ids=FILMS.keys())
def pieces(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("film")
    return pieces_of(split_films.write_film(folder / "film.mp4", SECONDS, *request.param), folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("few")
    return pieces_of(split_films.write_film(folder / "film.mp4", SECONDS), folder)


def plan_of(pieces: Sequence[Path], folder: Path) -> Plan:
    """Plan the join of pieces of which no more than the index is there."""
    folder.mkdir()
    sources = {}
    for number, piece in enumerate(pieces):
        data, path = piece.read_bytes(), folder / f"input{number}"
        size = int.from_bytes(data[-4:])
        path.write_bytes(bytes(len(data) - size) + data[-size:])
        sources[f"pieces[{number}]"] = Source(f"pieces[{number}]", path, is_outline=True)
    part = story_pb2.CaptionJoin(piece_count=len(pieces), frames=PICTURES, seconds=SECONDS)
    fonts = FontLibrary(None)
    context = PlanContext(sources, folder, str(folder / "result"), X264("veryfast", 23), 1, fonts, composes=True)
    return caption_join.plan(part, context)


def make(run: FfmpegRun, folder: Path) -> None:
    command = [str(bundled_binary()), "-v", "error", "-y", *run.arguments]
    subprocess.run(command, cwd=folder, check=True, timeout=60)


def carry_out(plan: Plan, folder: Path) -> tuple[bytes, Sequence[encoder_pb2.ComposedRange], int]:
    """Carry out a plan; return its head, what follows that, and how many runs it took."""
    runs = 0
    for planned in plan.runs:
        run = planned if isinstance(planned, FfmpegRun) else planned()
        if run is not None:
            make(run, folder)
            runs += 1
    assert plan.compose is not None
    ranges = plan.compose(folder / "result")
    return (folder / "result").read_bytes(), ranges, runs


def put_together(pieces: Sequence[Path], folder: Path) -> tuple[bytes, Sequence[encoder_pb2.ComposedRange]]:
    """The same film with all pieces put together by FFmpeg."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining.Skeletons, "ends", lambda _, pieces, __: list(pieces))
        plan = plan_of(pieces, folder)
    head, ranges, runs = carry_out(plan, folder)
    assert (len(plan.runs), runs) == (1, 1)
    return head, ranges


def test_a_film_of_its_ends_is_bit_for_bit_what_ffmpeg_makes_of_all(pieces: list[Path], tmp_path: Path) -> None:
    plan = plan_of(pieces, tmp_path / "ends")
    head, ranges, runs = carry_out(plan, tmp_path / "ends")
    assert (len(pieces), len(plan.runs), runs) == (SECONDS // PIECE_SECONDS, 2, 1)
    assert (head, ranges) == put_together(pieces, tmp_path / "whole")


@pytest.mark.parametrize(("number", "odd"), ODD.values(), ids=ODD.keys())
def test_what_ffmpeg_would_tell_otherwise_is_put_together_by_it(
    few: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, odd: Callable[[SampleRun], SampleRun]
) -> None:
    expected = put_together(few, tmp_path / "whole")
    read_index = joining.read_index

    def read(path: Path) -> SampleIndex:
        index = read_index(path)
        changed = tuple(replace(one, runs=tuple(map(odd, one.runs))) for one in index.fragments)
        return replace(index, fragments=changed) if path.name == f"input{number}" else index

    monkeypatch.setattr(joining, "read_index", read)
    plan = plan_of(few, tmp_path / "odd")
    head, ranges, runs = carry_out(plan, tmp_path / "odd")
    assert runs == 2
    assert (head, ranges) == expected


def test_a_film_whose_ends_lack_what_others_have_is_put_together_by_ffmpeg(tmp_path: Path) -> None:
    """As where the middle of a film alone was encoded anew, and has B-frames."""
    folders = [tmp_path / name for name in ("plain", "reordered")]
    for folder, frames in zip(folders, ("0", "2"), strict=True):
        folder.mkdir()
        split_films.write_film(folder / "film.mp4", SECONDS, "-bf", frames, "-x264-params", "bframes=2:ref=2")
    plain, reordered = ([*pieces_of(folder / "film.mp4", folder)] for folder in folders)
    pieces = [*plain[:4], reordered[4], *plain[5:]]
    plan = plan_of(pieces, tmp_path / "mixed")
    head, ranges, _ = carry_out(plan, tmp_path / "mixed")
    assert (head, ranges) == put_together(pieces, tmp_path / "whole")


def test_a_film_whose_middle_is_shown_after_its_end_is_put_together_by_ffmpeg(tmp_path: Path) -> None:
    """As cameras write that lose count: the film lasts until then."""
    film = split_films.write_film(tmp_path / "film.mp4", SECONDS, "-use_editlist", "0")
    data = bytearray(film.read_bytes())
    place = data.index(b"ctts") + 8
    entry = place + 4 + 8 * (int.from_bytes(data[place : place + 4]) // 2)
    struct.pack_into(">I", data, entry + 4, LATE_TICKS)
    film.write_bytes(data)
    pieces = pieces_of(film, tmp_path)
    head, ranges, runs = carry_out(plan_of(pieces, tmp_path / "ends"), tmp_path / "ends")
    assert runs == 2
    assert (head, ranges) == put_together(pieces, tmp_path / "whole")


def test_few_pieces_are_put_together_at_once(few: list[Path], tmp_path: Path) -> None:
    assert len(plan_of(few[:3], tmp_path / "few").runs) == 1
