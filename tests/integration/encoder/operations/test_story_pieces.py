"""The pieces of a story as players get them while it is made: headers and segments, judged by decoding them alone."""

import asyncio
from itertools import accumulate, pairwise
from pathlib import Path

import av
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import story_pb2
from encoder.media import fragments
from encoder.operations.plan import Plan
from encoder.planning.checks import finish_results
from tests.support import composing, judge, media, stories
from tests.support.encoder_harness import Client, requests
from tests.support.growth import assert_grows_gently
from tests.support.stories import scene

RATE, LONG = 25, 7


async def test_every_segment_of_a_piece_plays_by_itself_on_the_clock_of_the_film(
    client: Client, tmp_path: Path
) -> None:
    still, clip = media.image(tmp_path / "still.png"), media.video(tmp_path / "clip.mp4", 1, "64x36", 30, True)
    scenes = [scene(still, duracao=1), scene(still, duracao=LONG), scene(clip)]
    options = {"width": 64, "height": 36, "frame_rate": RATE, "transition": {"seconds": 0.4}}
    film = await stories.film(client, tmp_path / "film", scenes, **options)
    plays = {task.item: task.plays for task in film.plan.further}
    pictures = [item for item, kind in plays.items() if kind == encoder_pb2.PLAYS_PICTURE]
    assert pictures == ["scene 1", "scene 2", "scene 3"]
    assert [item for item, kind in plays.items() if kind == encoder_pb2.PLAYS_SOUND] == ["sound"]
    assert not film.summaries["film"].HasField("playback")
    assert len({film.summaries[item].playback.header_id for item in pictures}) == 1
    times: list[float] = []
    for item in pictures:
        told = film.summaries[item].playback
        assert (told.codec[:5], told.width, told.height) == ("avc1.", 64, 36)
        times += [time for part in parts(film.files[item], told, tmp_path) for time in decoded(part)]
    assert times == pytest.approx([number / RATE for number in range(judge.facts(film.path).frames)], abs=1e-4)
    lengths = film.summaries["scene 2"].playback.segment_milliseconds
    # Even parts, each short enough.
    assert len(lengths) == 2
    assert max(lengths) - min(lengths) <= 1000 / RATE
    assert sum(sum(film.summaries[item].playback.segment_milliseconds) for item in pictures) == len(times) * 1000 / RATE
    check_sound(film.files["sound"], film.summaries["sound"].playback, len(times) / RATE)


async def test_a_still_in_several_pieces_is_the_still_in_one(client: Client, tmp_path: Path) -> None:
    still = media.image(tmp_path / "still.png")
    scenes = [scene(still, duracao=9), scene(still, duracao=2)]
    options = {"width": 64, "height": 36, "frame_rate": 10, "transition": {"seconds": 1}}
    whole = await stories.film(client, tmp_path / "whole", scenes, **options)
    told = {"workers": 2, "is_watched": True}
    cut = await stories.film(client, tmp_path / "cut", scenes, told=told, **options)
    items = [task.item for task in cut.plan.further]
    assert items == ["scene 1", "scene 1, part 2", "scene 1, part 3", "scene 1, part 4", "scene 2", "film"]
    assert [task.frames for task in cut.plan.further] == [20, 15, 17, 38, 10, 0]
    both = [[frame.astype(int) for frame in judge.pictures(film.path, "gray")] for film in (whole, cut)]
    assert max(abs(one - other).mean() for one, other in zip(*both, strict=True)) < 4


async def test_the_whole_sound_begins_with_the_bytes_of_its_head(client: Client, tmp_path: Path) -> None:
    still, voice = media.image(tmp_path / "still.png"), media.tone(tmp_path / "voice.wav", 30)
    scenes = [scene(still, duracao=40, url_audio=voice), scene(still, duracao=44, url_audio=voice)]
    given = {"url_music": media.tone(tmp_path / "music.wav", 7), "soundtrack": {"loop": True, "duck": True}}
    shape = {"width": 64, "height": 36, "frame_rate": 2}
    film = await stories.film(client, tmp_path / "film", scenes, told={"is_watched": True}, **shape, **given)
    items = [task.item for task in film.plan.further]
    assert items[:2] == ["sound, first 41 s", "scene 1"]
    assert items[6:9] == ["scene 1, part 6", "sound", "scene 1, part 7"]
    head, whole = (film.summaries[item].playback for item in (items[0], "sound"))
    played = len(head.segment_bytes)
    assert 39 < sum(head.segment_milliseconds) / 1000 < 41
    assert max(head.segment_milliseconds) < 2000  # the first piece of the picture
    assert head.segment_milliseconds == whole.segment_milliseconds[:played]
    assert head.segment_bytes == whole.segment_bytes[:played]
    size = head.header_bytes + sum(head.segment_bytes)
    one, other = (film.files[item].read_bytes()[:size] for item in (items[0], "sound"))
    assert one == other
    check_sound(film.files["sound"], whole, 84)


async def test_what_is_seen_first_is_made_first_where_an_encoder_has_several_pieces(
    client: Client, tmp_path: Path
) -> None:
    still = media.image(tmp_path / "still.png")
    (task, *_) = (await stories.plan(client, [scene(still, duracao=1)], width=64, height=36)).further

    def piece(place: int) -> encoder_pb2.Task:
        order = encoder_pb2.PlayOrder(film="film", pieces_before=place, is_watched=True)
        return encoder_pb2.Task(id=f"film.{place}", part=task.part, codec=task.codec, play_order=order)

    inputs = {task.inputs[0].field: still}
    never: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    first = client.stub.Encode(requests(piece(0), inputs, never))
    assert "x-accepted" in await first.initial_metadata()
    later = asyncio.create_task(client.encode(piece(1), inputs))
    done, _ = await asyncio.wait([later], timeout=2)
    assert not done
    first.cancel()
    assert len((await later).data) > 0


async def test_a_film_is_composed_of_pieces_and_sound_that_are_not_sent(client: Client, tmp_path: Path) -> None:
    still, clip = media.image(tmp_path / "still.png"), media.video(tmp_path / "clip.mp4", 3, "64x36", 30, True)
    scenes = [scene(still, duracao=LONG), scene(clip), scene(still, duracao=LONG)]
    options = {"width": 64, "height": 36, "frame_rate": RATE, "transition": {"seconds": 0.4}}
    composed = tmp_path / "composed.mp4"
    film = await stories.film(client, tmp_path / "film", scenes, composed=composed, **options)
    assert composing.tables(composed) == composing.tables(film.path)
    assert composing.packets(composed) == composing.packets(film.path)
    assert judge.moov_first(composed)
    # Sound and pictures lie side by side, in stretches that players which stream can keep.
    assert composing.longest_stretch_seconds(composed) <= fragments.SEGMENT_SECONDS


async def test_stills_in_one_piece_are_those_in_a_piece_each(client: Client, tmp_path: Path) -> None:
    stills = [media.image(tmp_path / f"still{number}.png") for number in range(2)]
    clip = media.video(tmp_path / "clip.mp4", 2, "64x36", 10, False)
    kinds = [story_pb2.TRANSITION_KIND_CROSSFADE, story_pb2.TRANSITION_KIND_SLIDE, story_pb2.TRANSITION_KIND_FADE_BLACK]
    scenes = [
        scene(stills[number % 2], duracao=2 + number, transition={"kind": kind, "seconds": 0.6})
        for number, kind in enumerate((*kinds, story_pb2.TRANSITION_KIND_WIPE))
    ]
    talk = tmp_path / "talk.srt"
    talk.write_text("1\n00:00:01,000 --> 00:00:08,000\nOver all\n")
    options = {"width": 64, "height": 36, "frame_rate": 10, "url_srt": talk}
    given = [*scenes, scene(clip)]
    apart = await stories.film(client, tmp_path / "apart", given, **options)
    film = await stories.film(client, tmp_path / "film", given, told={"workers": 1}, **options)
    # How many is up to the cores of this machine.
    first = film.plan.further[0]
    count = int(first.item.removeprefix("scenes 1 to "))
    names = [*(f"scenes[{number}].image_url" for number in range(min(count + 1, 4))), "captions"]
    assert [one.field for one in first.inputs] == names
    one, other = ([frame.astype(int) for frame in judge.pictures(made.path, "gray")] for made in (apart, film))
    gaps = [abs(here - there).mean() for here, there in zip(one, other, strict=True)]
    assert max(gaps) < 8
    assert sum(gaps) / len(gaps) < 2


async def test_stills_in_one_piece_lead_into_a_video(client: Client, tmp_path: Path) -> None:
    stills = [media.image(tmp_path / f"still{number}.png") for number in range(2)]
    clip = media.video(tmp_path / "clip.mp4", 30, "64x36", 10, False)
    options = {"width": 64, "height": 36, "frame_rate": 10, "transition": {"seconds": 0.4}}
    given = [*(scene(still, duracao=1) for still in stills), scene(clip)]
    apart = await stories.film(client, tmp_path / "apart", given, **options)
    film = await stories.film(client, tmp_path / "film", given, told={"workers": 1}, **options)
    assert [task.item for task in film.plan.further] == ["scenes 1 to 2", "scene 3", "film"]
    one, other = ([frame.astype(int) for frame in judge.pictures(made.path, "gray")] for made in (apart, film))
    assert max(abs(here - there).mean() for here, there in zip(one, other, strict=True)) < 8


def check_sound(path: Path, told: encoder_pb2.Playback, seconds: float) -> None:
    assert told.codec == "mp4a.40.2"
    assert max(told.segment_milliseconds) <= 2050
    assert sum(told.segment_milliseconds) / 1000 == pytest.approx(seconds, abs=2 * 1024 / judge.RATE)
    # Its last packet may be longer than the film, in which it ends in time.
    assert 0 <= len(judge.samples(path)) - round(seconds * judge.RATE) < 1024


def parts(path: Path, told: encoder_pb2.Playback, folder: Path) -> list[Path]:
    """Each segment behind the header, as a file."""
    data, made = path.read_bytes(), []
    offsets = list(accumulate(told.segment_bytes, initial=told.header_bytes))
    for number, (start, end) in enumerate(pairwise(offsets)):
        made.append(folder / f"{path.stem}-{number}.mp4")
        made[-1].write_bytes(data[: told.header_bytes] + data[start:end])
    return made


def decoded(path: Path) -> list[float]:
    """When the frames of a segment are shown, by the clock of its track: that of decoding begins with the first one."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert packets[0].is_keyframe
        shift = packets[0].pts - packets[0].dts
        container.seek(0)
        shown = sorted(float((packet.pts - shift) * packet.time_base) for packet in packets)
        assert len(list(container.decode(stream))) == len(shown)
        return shown


def test_what_is_no_fragmented_file_is_refused_and_a_long_one_is_read_in_step_with_its_size(tmp_path: Path) -> None:
    plain = media.video(tmp_path / "plain.mp4", 1, "64x36", 30, True)
    with pytest.raises(ValueError, match="no fragment"):
        fragments.playback(plain)
    check_no_playback(plain)
    options = [part for name, value in fragments.PIECE.items() for part in (f"-{name}", value)]
    whole = tmp_path / "piece.mp4"
    media.run("-i", plain, "-c", "copy", *options, whole)
    told = fragments.playback(whole)
    # Picture and sound in one file are told of by the picture.
    assert (told.width, told.codec.split(",")[1:], list(told.segment_milliseconds)) == (64, ["mp4a.40.2"], [1000])
    data = whole.read_bytes()
    body = data[told.header_bytes : told.header_bytes + sum(told.segment_bytes)]

    def long(count: int) -> Path:
        path = tmp_path / "long.mp4"
        path.write_bytes(data[: told.header_bytes] + body * count)
        return path

    # Sound before the first picture is played with it: it is no part of the header.
    sound = body.replace(b"traf", b"free", 1)
    whole.write_bytes(data[: told.header_bytes] + sound + body)
    early = fragments.playback(whole)
    assert (early.header_bytes, early.header_id) == (told.header_bytes, told.header_id)
    assert list(early.segment_bytes) == [len(sound) + len(body)]
    assert_grows_gently(long, fragments.playback, 500)
    whole.write_bytes(data[: told.header_bytes + 30])
    with pytest.raises(ValueError, match="cannot be"):
        fragments.playback(whole)
    # A movie without tracks, a version of a box that there is not, more samples than there are.
    versions, samples = data.index(b"tkhd") + 4, data.index(b"trun") + 8
    faulty = (
        *(data.replace(b"trak", b"none"), data[:versions] + b"\x07" + data[versions + 1 :]),
        data[:samples] + b"\xff" * 4 + data[samples + 4 :],
    )
    for wrong in faulty:
        whole.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"a box|range"):
            fragments.playback(whole)


def check_no_playback(path: Path) -> None:
    """A result of which nothing can be told is whole all the same."""
    plan = Plan(runs=(), field="video", codec="h264", duration_seconds=1, frames_total=30, plays=True)
    summary = finish_results(plan, path)
    assert (summary.frames, summary.HasField("playback")) == (30, False)
