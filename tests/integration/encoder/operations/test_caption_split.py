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
    srt: str = "",
    **options: object,
) -> tuple[encoder_pb2.Summary, bytes]:
    """What the planning answers, and its result."""
    options = {"encode_all": True, **options}
    srt = srt or split_films.subtitles(captioned)
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
    plan, captions = await planned(client, film, workers=6)
    assert join_of(plan).piece_count == 6  # of which FFmpeg puts together the ends
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
    plan, planned_bytes = await planned(client, film)
    pieces = plan.further[:-1]
    sent = [sum(end - start for start, end in split_films.ranges(task.inputs[0])) for task in pieces]
    index = sum(found.end - found.start for found in pieces[0].inputs[0].index_ranges)
    # What lies between what is needed is sent with it, where it is little.
    assert 0 < sum(sent) <= film.stat().st_size - index + len(pieces) * 64 * 1024
    assert not any(
        start < found.end and end > found.start
        for task in pieces
        for start, end in split_films.ranges(task.inputs[0])
        for found in task.inputs[0].index_ranges
    )
    # What is planned, too, but for the captions: each piece has these.
    given = [sum(end - start for start, end in split_films.ranges(task.inputs[1])) for task in pieces]
    (_, captions) = split_films.ranges(pieces[0].inputs[1])
    shared = captions[1] - captions[0]
    assert sum(given) - (len(pieces) - 1) * shared == len(planned_bytes)
    assert sum(given) - len(pieces) * shared < index + len(pieces) * 4096


@pytest.mark.parametrize("encode_all", [True, False])
async def test_an_index_of_its_own_changes_no_bit(client: Client, film: Path, tmp_path: Path, encode_all: bool) -> None:
    plan, captions = await planned(client, film, workers=4, srt="" if encode_all else LITTLE, encode_all=encode_all)
    plans = [plan, split_films.by_older_gateway(plan), split_films.without_own_indexes(plan)]
    made = tmp_path / "made.mp4"
    told = [await split_films.join([client], one, {"url_video": film.read_bytes()}, captions, made) for one in plans]
    digests = [[summary.sha256 for summary in summaries] for summaries in told]
    assert digests == [digests[0]] * 3


async def test_a_piece_without_its_index_is_told(client: Client, film: Path) -> None:
    plan, captions = await planned(client, film)
    part = story_pb2.StoryPart.FromString(plan.further[1].part)
    part.caption_piece.index.end = len(captions) + 1
    task = encoder_pb2.Task(id="piece", part=part.SerializeToString(), codec="x264")
    with pytest.raises(Exception, match="came without its index"):
        await client.encode(task, {"url_video": film, "captions": captions})


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


@pytest.mark.parametrize(
    ("as_before", "told"), [(False, "damaged and cannot be decoded"), (True, "it is not the file any more")]
)
async def test_a_piece_of_another_file_is_told(
    client: Client, film: Path, tmp_path: Path, as_before: bool, told: str
) -> None:
    plan, captions = await planned(client, film)
    plan = split_films.without_own_indexes(plan) if as_before else plan
    other = tmp_path / "other.mp4"
    media.run("-i", film, "-c", "copy", "-t", "10", other)
    with pytest.raises(Exception, match=told):
        await split_films.join(
            [client], plan, {"url_video": other.read_bytes().ljust(film.stat().st_size, b"\0")}, captions, other
        )


async def test_a_piece_that_begins_with_no_keyframe_is_refused(client: Client, film: Path) -> None:
    plan, captions = await planned(client, film)
    part = story_pb2.StoryPart.FromString(plan.further[1].part)
    part.caption_piece.ClearField("index")
    with av.open(str(film)) as opened:
        times = [packet.dts for packet in opened.demux(video=0) if packet.dts is not None]
    part.caption_piece.picture.first_dts = times[times.index(part.caption_piece.picture.first_dts) + 1]
    task = encoder_pb2.Task(id="piece", part=part.SerializeToString(), codec="x264")
    with pytest.raises(Exception, match="as a keyframe that is none"):
        await client.encode(task, {"url_video": film, "captions": captions})


@pytest.mark.parametrize(("captioned", "tasks"), [(15, 0), (25, 3), (50, 5)])
async def test_pieces_are_as_many_as_what_is_encoded_is_worth(
    client: Client, film: Path, captioned: int, tasks: int
) -> None:
    plan, _ = await planned(client, film, workers=16, captioned=captioned, encode_all=False)
    assert [task.kind for task in plan.further] == (
        ["caption.splice"] * (tasks - 1) + ["caption.join"] if tasks else []
    )


async def test_pieces_of_a_video_full_of_captions_copy_nothing(client: Client, film: Path) -> None:
    full = "1\n00:00:00,500 --> 00:00:59,000\nCAPTION"
    plan, _ = await planned(client, film, srt=full, encode_all=False)
    assert [task.kind for task in plan.further] == ["caption.piece"] * 3 + ["caption.join"]
    assert "in pieces" in join_of(plan).whole_reason


LITTLE = split_films.subtitles(60, wanted=[*range(9), *range(25, 28), *range(44, 52), 59])


@pytest.mark.parametrize(
    ("options", "turned"),
    [((), ()), (("-bf", "0"), ("-display_rotation", "-90")), (("-x264-params", "bframes=3:ref=4:keyint=15"), ())],
    ids=["b-frames", "turned", "pyramid"],
)
async def test_pieces_copy_what_no_caption_touches(
    client: Client, tmp_path: Path, options: tuple[str, ...], turned: tuple[str, ...]
) -> None:
    made = split_films.write_film(tmp_path / "made.mp4", SECONDS, *options)
    source = tmp_path / "source.mp4"
    media.run(*turned, "-i", made, "-map", "0", "-c", "copy", source)
    plan, captions = await planned(client, source, workers=4, srt=LITTLE, encode_all=False, is_watched=True)
    assert {task.kind for task in plan.further[:-1]} == {"caption.splice"}
    assert (len(plan.further) > 6, join_of(plan).whole_reason) == (True, "")
    joined = tmp_path / "joined.mp4"
    composed = tmp_path / "composed.mp4"
    summaries = await split_films.join([client], plan, {"url_video": source.read_bytes()}, captions, joined, composed)
    assert split_films.tracks(joined) == split_films.tracks(composed) == split_films.tracks(source)
    assert video_packets(composed) == video_packets(joined)
    before, after = video_packets(source), video_packets(joined)
    same = [one == other for one, other in zip(before, after, strict=True)]
    assert sum(summary.frames_copied for summary in summaries) == sum(same)
    assert sum(same) > SECONDS * split_films.RATE // 3
    for summary, task in zip(summaries[:-1], plan.further, strict=False):
        assert summary.playback.segment_milliseconds
        assert max(summary.playback.segment_milliseconds) <= task.target_seconds * 1000
        assert summary.playback.codec == summaries[0].playback.codec
    alone, whole = await planned(client, source, workers=1, srt=LITTLE, encode_all=False)
    (tmp_path / "whole.mp4").write_bytes(whole)
    assert sum(same) > alone.frames_copied - 40  # where pieces end, a run may
    with av.open(str(source)) as opened:
        times = [packet.pts for packet in opened.demux(video=0) if packet.pts is not None]
    shown = zip(
        np.argsort(times, kind="stable"),
        pictures(joined),
        pictures(source),
        pictures(tmp_path / "whole.mp4"),
        strict=True,
    )
    for place, ours, theirs, alike in shown:
        if same[place]:
            assert np.array_equal(ours, theirs), place
        assert abs(ours - alike).mean() < 3, place


async def test_a_piece_that_cannot_copy_is_encoded_so_that_it_fits_the_others(client: Client, tmp_path: Path) -> None:
    # Two films one after the other, with their parameters in the packets: the header has those of the first.
    halves = [tmp_path / f"{references}.ts" for references in (1, 3)]
    for half in halves:
        split_films.write_film(half, 31, "-x264-params", f"ref={half.stem}:b-pyramid=none")
    source, joined = tmp_path / "film.mp4", tmp_path / "joined.mp4"
    media.run("-i", "concat:" + "|".join(map(str, halves)), "-map", "0", "-c", "copy", source)
    plan, captions = await planned(client, source, workers=4, srt=LITTLE, encode_all=False, is_watched=True)
    assert {task.kind for task in plan.further[:-1]} == {"caption.splice"}
    first, *_, last, _ = await split_films.join([client], plan, {"url_video": source.read_bytes()}, captions, joined)
    assert (first.whole_reason, last.frames_copied, "parameters change" in last.whole_reason) == ("", 0, True)
    assert split_films.tracks(joined) == split_films.tracks(source)
    _, whole = await planned(client, source, workers=1, srt=LITTLE)
    (tmp_path / "whole.mp4").write_bytes(whole)
    compared = zip(pictures(joined), pictures(tmp_path / "whole.mp4"), strict=True)
    assert max(abs(one - other).mean() for one, other in compared) < 3


def video_packets(path: Path) -> list[bytes]:
    """The packets of the picture, in the order of decoding."""
    with av.open(str(path)) as opened:
        return [bytes(packet) for packet in opened.demux(video=0) if packet.size]
