"""caption in pieces on several encoders, against the same video made as a whole."""

from pathlib import Path

import av
import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1 import video_pb2
from tests.support import composing, media, split_films
from tests.support.encoder_harness import Client

SECONDS = 61


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_films.write_film(tmp_path_factory.mktemp("film") / "film.mp4", SECONDS)


async def planned(
    client: Client,
    source: Path,
    workers: int = 3,
    captioned: int = SECONDS,
    is_watched: bool = False,
    **options: object,
) -> tuple[encoder_pb2.Summary, bytes]:
    """What the planning answers, and its result."""
    options = {"encode_all": True, **options}
    srt = split_films.subtitles(captioned)
    operation = split_films.request(srt, **options)
    task = encoder_pb2.Task(id="plan", operation=operation, workers=workers, is_watched=is_watched)
    inputs: dict[str, Path | bytes] = {"url_video": source, "srt_text": srt.encode()}
    done = await client.encode(task, inputs)
    assert done.summary is not None
    return done.summary, bytes(done.data)


def join_of(plan: encoder_pb2.Summary) -> story_pb2.CaptionJoin:
    """The last task of a plan."""
    return story_pb2.StoryPart.FromString(plan.further[-1].part).caption_join


def pictures(path: Path) -> list[np.ndarray]:
    """Frames in gray."""
    with av.open(str(path)) as opened:
        return [frame.to_ndarray(format="gray").astype(int) for frame in opened.decode(video=0)]


def languages(path: Path) -> list[str | None]:
    """The languages of the tracks of sound."""
    with av.open(str(path)) as opened:
        return [stream.language for stream in opened.streams.audio]


@pytest.mark.parametrize("container", [video_pb2.CONTAINER_MP4, video_pb2.CONTAINER_FRAGMENTED_MP4])
async def test_pieces_are_the_whole(client: Client, film: Path, tmp_path: Path, container: int) -> None:
    plan, captions = await planned(client, film, container=container)
    assert join_of(plan).whole_reason == "encode_all was asked for"
    assert [task.kind for task in plan.further] == ["caption.piece"] * 3 + ["caption.join"]
    assert sum(task.frames for task in plan.further) == SECONDS * split_films.RATE
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    await split_films.join([client], plan, {"url_video": film.read_bytes()}, captions, joined)
    alone, whole_bytes = await planned(client, film, workers=1, container=container)
    whole.write_bytes(whole_bytes)
    assert (len(alone.further), alone.frames) == (0, SECONDS * split_films.RATE)
    assert split_films.tracks(joined) == split_films.tracks(whole)
    differences = [abs(one - other).mean() for one, other in zip(pictures(joined), pictures(whole), strict=True)]
    # A caption that comes a frame early or late differs by 10.
    assert max(differences) < 3
    assert languages(joined) == languages(whole) == ["und", "por"]


async def test_the_whole_is_composed_of_pieces_that_are_not_sent(client: Client, film: Path, tmp_path: Path) -> None:
    plan, captions = await planned(client, film)
    joined, composed = tmp_path / "joined.mp4", tmp_path / "composed.mp4"
    await split_films.join([client], plan, {"url_video": film.read_bytes()}, captions, joined, composed)
    assert composing.tables(composed) == composing.tables(joined)
    assert composing.packets(composed) == composing.packets(joined)


async def test_what_is_watched_begins_with_short_pieces_and_is_cut_for_one_encoder_too(
    client: Client, film: Path
) -> None:
    plan, _ = await planned(client, film, workers=1, encode_all=False, is_watched=True)
    frames = [task.frames for task in plan.further[:-1]]
    assert (frames[:4], sum(frames)) == ([20, 20, 20, 20], SECONDS * split_films.RATE)


async def test_each_byte_is_sent_about_once(client: Client, film: Path) -> None:
    plan, _ = await planned(client, film)
    sent = sum(end - start for task in plan.further for start, end in split_films.ranges(task))
    size = film.stat().st_size
    index = sum(end - start for start, end in split_films.ranges(plan.further[1]) if start == 0 or end == size)
    assert sent < size + 3 * index + 3 * 64 * 1024


@pytest.mark.parametrize(
    "options",
    [
        ("-movflags", "+frag_keyframe+empty_moov"),
        ("-x264-params", "open-gop=1:bframes=3"),
        ("-vf", "settb=1/1000,setpts='PTS+mod(N,3)*20'", "-fps_mode", "passthrough", "-enc_time_base", "1:1000"),
        ("-c:a", "libmp3lame"),
    ],
    ids=["in fragments", "open GOPs", "uneven", "sound whose index is not its packets"],
)
async def test_what_cannot_be_cut_is_made_as_a_whole(client: Client, tmp_path: Path, options: tuple[str, ...]) -> None:
    source = split_films.write_film(tmp_path / "odd.mp4", SECONDS, *options)
    plan, result = await planned(client, source)
    # Pictures that stand for long are shown once more.
    assert (len(plan.further), plan.frames >= SECONDS * split_films.RATE, len(result) > 0) == (0, True, True)


async def test_bytes_behind_the_last_box_do_no_harm(client: Client, film: Path, tmp_path: Path) -> None:
    source = tmp_path / "longer.mp4"
    source.write_bytes(film.read_bytes() + b"hello")
    plan, _ = await planned(client, source)
    assert (len(plan.further), plan.frames) == (0, SECONDS * split_films.RATE)


async def test_a_piece_of_another_file_is_told(client: Client, film: Path, tmp_path: Path) -> None:
    plan, captions = await planned(client, film)
    other = tmp_path / "other.mp4"
    media.run("-i", film, "-c", "copy", "-t", "10", other)
    with pytest.raises(Exception, match="it is not the file any more"):
        await split_films.join(
            [client], plan, {"url_video": other.read_bytes().ljust(film.stat().st_size, b"\0")}, captions, other
        )


async def test_a_piece_that_begins_with_no_keyframe_is_refused(client: Client, film: Path) -> None:
    plan, captions = await planned(client, film)
    part = story_pb2.StoryPart.FromString(plan.further[1].part)
    with av.open(str(film)) as opened:
        times = [packet.dts for packet in opened.demux(video=0) if packet.dts is not None]
    part.caption_piece.picture.first_dts = times[times.index(part.caption_piece.picture.first_dts) + 1]
    task = encoder_pb2.Task(id="piece", part=part.SerializeToString(), codec="x264")
    with pytest.raises(Exception, match="as a keyframe that is none"):
        await client.encode(task, {"url_video": film, "captions": captions})


@pytest.mark.parametrize(("workers", "tasks"), [(16, 7), (2, 0)])
async def test_what_one_encoder_that_copies_most_does_as_soon_is_not_cut(
    client: Client, film: Path, workers: int, tasks: int
) -> None:
    plan, _ = await planned(client, film, workers=workers, captioned=15, encode_all=False)
    assert len(plan.further) == tasks
    if tasks:
        assert "in pieces" in join_of(plan).whole_reason
