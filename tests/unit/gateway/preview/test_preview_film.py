"""What of a film plays while it is made, and its playlists, as a library reads them that players use."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import m3u8
import pytest
from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from apigpu.encoder.v1.encoder_pb2 import FurtherInput, FurtherTask, Playback, Summary
from apigpu.v1.video_pb2 import Operation
from gateway.jobs import further, graph, model
from gateway.jobs.model import Failure, Job, Result, Status
from gateway.jobs.store import GROWTH_BYTES
from gateway.preview import film
from gateway.preview.film import PlayedFilm, PlayedPiece, film_of
from gateway.preview.playlist import master_playlist, media_playlist
from servicekit.codec import from_json, to_json

KINDS = (encoder_pb2.PLAYS_PICTURE, encoder_pb2.PLAYS_SOUND, *[encoder_pb2.PLAYS_PICTURE] * 2)
HEADED = (encoder_pb2.PLAYS_SOUND, encoder_pb2.PLAYS_PICTURE, encoder_pb2.PLAYS_SOUND, encoder_pb2.PLAYS_PICTURE)
PLANNING, FIRST, SOUND, SECOND, THIRD, JOIN = range(6)
GONE = Failure(1, "gone", "STEP_FAILED")


def played(*seconds: float, header: int = 7, **values: Any) -> bytes:
    lengths = [round(1000 * length) for length in seconds]
    sizes = [length // 10 for length in lengths]
    told = Playback(header_bytes=100, header_id=header, segment_bytes=sizes, segment_milliseconds=lengths, **values)
    return told.SerializeToString()


PIECES = {
    FIRST: played(4, codec="avc1.640028", width=1920, height=1080),
    SOUND: played(2, 2, 2, 2, 2, 2, 0.5, codec="mp4a.40.2"),
    SECOND: played(5.5, 0.5),
    THIRD: played(2.5),
    JOIN: b"",
}


def story(*, preview: bool = True, plays: bool = True, kinds: Sequence[int] = KINDS) -> Job:
    """A story of three scenes with sound, planned."""
    scenes = [{"image_url": f"https://example.com/{number}", "duracao": 1} for number in range(3)]
    wanted = json_format.ParseDict({"story": {"scenes": scenes}}, Operation())
    tasks = [FurtherTask(kind="story.scene", plays=kind if plays else None, target_seconds=6) for kind in kinds]
    pieces = [FurtherInput(field=f"pieces[{number}]", task=number) for number in range(4)]
    plan = Summary(further=[*tasks, FurtherTask(inputs=pieces, is_result=True)])
    tasks_of_job = graph.tasks_of(wanted, 10)
    job = Job(model.new_id(1.0), "story", graph.request_of(wanted), False, tasks_of_job, 1.0, preview=preview)
    found = further.expansion(job, 0, plan)
    return further.complete_task(model.start_task(job, 0, 2.0), 0, Result("assets/captions", 0), 3.0, found)


def made(job: Job, *indexes: int, pieces: dict[int, bytes] = PIECES) -> Job:
    for index in indexes:
        result = Result(f"assets/{index}", 24, playback=pieces[index])
        job = further.complete_task(model.start_task(job, index, 4.0), index, result, 5.0)
    return job


def shown(job: Job) -> PlayedFilm:
    found = film_of(job)
    assert found is not None
    return found


def playlist(job: Job, track: str = "picture") -> m3u8.M3U8:
    found = shown(job)
    chosen = found.picture if track == "picture" else found.ready_sound
    assert chosen is not None
    return m3u8.loads(media_playlist(found, chosen, url_of))


def url_of(piece: PlayedPiece) -> str:
    return f"../../../files/{piece.asset}?signature=s"


def test_a_film_plays_up_to_the_first_piece_that_is_not_there() -> None:
    job = story()
    assert (shown(job).picture.seconds, shown(job).is_over) == (0, False)
    assert shown(made(job, SECOND, THIRD)).picture.seconds == 0
    assert shown(made(job, FIRST, THIRD)).picture.seconds == 4
    whole = shown(made(job, FIRST, SOUND, SECOND, THIRD))
    assert (whole.picture.seconds, whole.is_whole, whole.is_over) == (12.5, True, True)


def test_sound_is_told_of_as_far_as_there_are_pictures_to_it() -> None:
    assert shown(made(story(), FIRST)).ready_sound is None
    assert shown(made(story(), SOUND)).ready_sound is None
    heard = [shown(made(story(), *tasks)).ready_sound for tasks in ((FIRST, SOUND), (FIRST, SOUND, SECOND))]
    assert [track and track.seconds for track in heard] == [4, 10]
    states = [story(), made(story(), SOUND), made(story(), FIRST), made(story(), FIRST, SOUND)]
    assert [shown(job).is_heard for job in states] == [False, False, False, True]
    assert playlist(made(story(), FIRST, SOUND, SECOND, THIRD), "sound").is_endlist
    # A first piece that is shorter than the first segment of the sound.
    assert shown(made(story(), FIRST, SOUND, pieces={**PIECES, FIRST: played(1.5)})).ready_sound is None


HEADS = {1: played(2, 2), 2: played(4), 3: played(2, 2, 2, 0.3), 4: played(2.3)}


def test_sound_plays_from_its_head_and_goes_on_from_the_whole() -> None:
    job = story(kinds=HEADED)
    first, more = (playlist(made(job, *tasks, pieces=HEADS), "sound") for tasks in ((1, 2), (1, 2, 3, 4)))
    assert [(one.uri[-13], one.byterange) for one in first.segments] == [("1", "200@100"), ("1", "200@300")]
    assert [one.byterange for one in more.segments[2:]] == ["200@500", "30@700"]
    assert [one.uri[-13] for one in more.segments] == ["1", "1", "3", "3"]
    texts = [found.dumps().splitlines() for found in (first, more)]
    assert texts[1][: len(texts[0])] == texts[0]
    assert (first.is_endlist, more.is_endlist, len(more.segment_map)) == (False, True, 1)
    track = shown(made(job, 1, 2, 3, 4, pieces=HEADS)).ready_sound
    assert track is not None
    assert (track.seconds, track.is_whole) == (pytest.approx(6.3), True)
    # As far as there are pictures to it: the whole has nothing to add yet.
    heard = shown(made(job, 1, 2, 3, pieces=HEADS)).ready_sound
    assert heard is not None
    assert (heard.seconds, len(heard.pieces)) == (4, 1)


@pytest.mark.parametrize("whole", [played(2, 2, 2, 0.3, header=8), played(2, 1.9, 2, 0.4), played(2)])
def test_sound_that_does_not_begin_as_its_head_did_ends_with_it(whole: bytes) -> None:
    job = made(story(kinds=HEADED), 1, 2, 3, 4, JOIN, pieces={**HEADS, 3: whole, JOIN: b""})
    assert [one.uri[-13] for one in playlist(job, "sound").segments] == ["1", "1"]
    warning = film.warning_of(job)
    assert warning is not None
    assert warning.message == film.CUT_SHORT


def test_a_film_whose_sound_is_made_first_begins_with_it() -> None:
    assert [shown(made(story(), *tasks)).has_begun for tasks in ((), (SOUND,), (FIRST,))] == [False, False, True]
    states = [made(story(kinds=HEADED), *tasks, pieces=HEADS) for tasks in ((), (1,), (2,), (1, 2), (2, 3))]
    assert [shown(job).has_begun for job in states] == [False, False, False, True, False]
    assert shown(model.cancel(states[2], GONE, 6.0)).has_begun


def test_encoders_are_told_when_a_result_plays() -> None:
    job = story(kinds=HEADED)
    order = [further.play_order(job, index) for index in range(1, 6)]
    told = [(one.pieces_before, one.is_sound) for one in order[:4] if one is not None]
    assert told == [(0, True), (0, False), (1, True), (1, False)]
    assert {(one.film, one.is_watched) for one in order if one is not None} == {(f"{job.id}.0", True)}
    assert order[4] is None
    unwatched = further.play_order(story(preview=False), 2)
    assert unwatched is not None
    assert not unwatched.is_watched


def test_the_playlist_grows_and_ends() -> None:
    first, more = playlist(made(story(), FIRST)), playlist(made(story(), FIRST, SECOND))
    assert (first.playlist_type, first.is_endlist, first.target_duration) == ("event", False, 6)
    assert [segment.duration for segment in more.segments] == [4, 5.5, 0.5]
    assert [segment.byterange for segment in more.segments] == ["400@100", "550@100", "50@650"]
    assert more.segments[0].uri == "../../../files/assets/1?signature=s"
    # What was told stays as it was.
    texts = [found.dumps().splitlines() for found in (first, more)]
    assert texts[1][: len(texts[0])] == texts[0]
    assert (more.start.time_offset, more.is_independent_segments) == (0, True)
    whole = playlist(made(story(), FIRST, SOUND, SECOND, THIRD))
    assert (whole.playlist_type, whole.is_endlist, len(whole.segments)) == ("event", True, 4)
    whole_text = whole.dumps().splitlines()
    assert whole_text[: len(texts[1])] == texts[1]


def test_a_header_is_told_once_and_again_where_it_differs() -> None:
    assert len(playlist(made(story(), FIRST, SECOND)).segment_map) == 1
    other = {**PIECES, SECOND: played(2, header=8)}
    segments = playlist(made(story(), FIRST, SECOND, THIRD, pieces=other)).segments
    assert [segment.init_section.uri.split("?")[0][-1] for segment in segments] == ["1", "3", "4"]
    assert segments[0].init_section.byterange == "100@0"


def test_a_segment_that_is_longer_than_players_were_told_ends_what_plays() -> None:
    job = made(story(), FIRST, SOUND, SECOND, THIRD, JOIN, pieces={**PIECES, SECOND: played(2, 6.5)})
    found = playlist(job)
    assert (found.target_duration, found.is_endlist, len(found.segments)) == (6, True, 1)
    warning = film.warning_of(job)
    assert warning is not None
    assert warning.message == film.CUT_SHORT
    assert len(playlist(made(story(), FIRST, pieces={**PIECES, FIRST: played(6.4)})).segments) == 1


@pytest.mark.parametrize("end", ["canceled", "failed"])
def test_what_there_was_when_the_job_ended_otherwise_is_kept_and_the_list_ends(end: str) -> None:
    job = made(story(), FIRST, SOUND)
    ended = model.cancel(job, GONE, 6.0) if end == "canceled" else model.fail_task(job, SECOND, GONE, 6.0)
    found = playlist(ended)
    assert (found.playlist_type, found.is_endlist, len(found.segments)) == ("event", True, 1)
    assert ended.intermediates == (PLANNING,)
    assert film.warning_of(ended) is not None


def test_pieces_are_kept_only_where_a_preview_was_asked_for() -> None:
    tasks = (FIRST, SOUND, SECOND, THIRD, JOIN)
    job = made(story(), *tasks)
    assert (job.status, job.intermediates) == (Status.COMPLETED, (PLANNING,))
    assert from_json(Job, to_json(job)) == job
    without = made(story(preview=False), *tasks)
    assert without.intermediates == (PLANNING, FIRST, SOUND, SECOND, THIRD)
    assert film_of(without) is None
    assert film.warning_of(without) is None
    assert not any(task.playback for task in without.tasks)


def test_a_preview_that_lacks_something_is_told() -> None:
    tasks = (FIRST, SOUND, SECOND, THIRD, JOIN)
    assert film.warning_of(made(story(), *tasks)) is None
    missing = film.warning_of(made(story(plays=False), *tasks))
    short = film.warning_of(made(story(), *tasks, pieces={**PIECES, SECOND: b""}))
    assert missing is not None
    assert short is not None
    assert (missing.reason, missing.message) == ("NO_PREVIEW", film.MISSING)
    assert short.message == film.CUT_SHORT


def test_the_master_names_picture_and_sound() -> None:
    job = made(story(), FIRST, SOUND)
    found = m3u8.loads(master_playlist(shown(job), "preview/picture.m3u8?s", "preview/sound.m3u8?s"))
    (stream,), (heard,) = found.playlists, found.media
    told = stream.stream_info
    assert (told.resolution, told.codecs, told.bandwidth) == ((1920, 1080), "avc1.640028,mp4a.40.2", 1600)
    assert (stream.uri, heard.uri, heard.type, heard.default) == (
        *("preview/picture.m3u8?s", "preview/sound.m3u8?s", "AUDIO", "YES"),
    )
    silent = m3u8.loads(master_playlist(shown(made(story(), FIRST)), "p", "s"))
    assert (silent.media, silent.playlists[0].stream_info.audio) == ([], None)


def test_what_is_kept_of_500_scenes_is_small() -> None:
    piece = played(5.5, codec="avc1.640028", width=1920, height=1080, header=2**64 - 1)
    job = made(story(), FIRST, pieces={FIRST: piece})
    bare = replace(job, tasks=tuple(replace(task, playback=b"") for task in job.tasks))
    assert len(to_json(job)) - len(to_json(bare)) < min(GROWTH_BYTES, 100)
