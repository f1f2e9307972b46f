"""Which of the pieces in hand of a film is made first, and how many at once."""

import asyncio
from contextlib import ExitStack

from apigpu.encoder.v1.encoder_pb2 import PlayOrder, Task
from encoder.planning.planner import PlannedTask
from encoder.tasks.play_order import PlayQueue, PlayTurn


def piece(number: int, film: str = "film", *, is_watched: bool = True) -> Task:
    return Task(play_order=PlayOrder(film=film, pieces_before=number, is_watched=is_watched))


def sound(number: int) -> Task:
    return Task(play_order=PlayOrder(film="film", pieces_before=number, is_sound=True, is_watched=True))


def held(stack: ExitStack, queue: PlayQueue, *tasks: Task) -> list[PlayTurn]:
    return [stack.enter_context(queue.hold(task)) for task in tasks]


def test_what_is_seen_first_is_made_first_and_other_films_do_not_wait() -> None:
    with ExitStack() as stack:
        queue = PlayQueue(watched_at_once=1)
        tasks = (piece(7), piece(5), sound(5), sound(6), piece(9, "another"), Task())
        places = held(stack, queue, *tasks)
        assert [place.is_waiting for place in places] == [True, False, False, True, False, False]
        assert queue.waiting == 2
        places[1].leave()
        places[1].leave()  # which it may do before its task is over
        # No picture waits for sound.
        assert not any(place.is_waiting for place in places)
    assert queue.waiting == 0


def test_several_are_made_at_once_where_one_leaves_processors_free() -> None:
    with ExitStack() as stack:
        places = held(stack, PlayQueue(watched_at_once=2), *map(piece, (3, 1, 2)))
        assert [place.is_waiting for place in places] == [True, False, False]


def test_of_a_film_that_nobody_watches_as_many_are_made_at_once_as_there_are_cores() -> None:
    tasks = [piece(number, is_watched=False) for number in range(4)]
    with ExitStack() as stack:
        places = held(stack, PlayQueue(watched_at_once=1, cores=2), *tasks)
        assert [place.is_waiting for place in places] == [False, False, True, True]
        places[0].encoded()  # the first one, too: nobody waits for it
        assert [place.is_waiting for place in places[1:]] == [False, False, True]


async def test_beside_pieces_that_nobody_watches_the_next_one_is_prepared() -> None:
    with ExitStack() as stack:
        queue = PlayQueue(cores=1)
        first, second, third = held(stack, queue, *(piece(number, is_watched=False) for number in range(3)))
        await second.turn(to_prepare=True)
        waiting = [asyncio.create_task(place.turn()) for place in (second, third)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        first.encoded()
        await waiting[0]
        assert not waiting[1].done()
        waiting[1].cancel()


async def test_beside_a_piece_the_next_one_is_prepared_but_beside_the_first_none() -> None:
    with ExitStack() as stack:
        first, *later = held(stack, PlayQueue(watched_at_once=1), *map(piece, range(4)))
        preparing = [asyncio.create_task(place.turn(to_prepare=True)) for place in later]
        await asyncio.sleep(0)
        assert not any(task.done() for task in preparing)
        first.encoded()  # it is still to be checked and sent
        await asyncio.sleep(0)
        assert not any(task.done() for task in preparing)
        first.leave()
        await asyncio.gather(*preparing[:2])
        assert [place.is_waiting for place in later] == [False, True, True]
        assert not preparing[2].done()
        later[0].encoded()
        await preparing[2]


async def test_a_piece_whose_inputs_are_slow_to_come_is_not_waited_for() -> None:
    with ExitStack() as stack:
        first, second = held(stack, PlayQueue(watched_at_once=1, arrival_seconds=0.01), *map(piece, (0, 1)))
        await second.turn()
        first.has_inputs = True
        assert second.is_waiting


async def test_a_turn_comes_once_those_before_have_left_however_they_end() -> None:
    queue, turns = PlayQueue(watched_at_once=1), list[int]()

    async def run(number: int) -> None:
        with queue.hold(piece(number)) as place:
            await place.turn()
            turns.append(number)
            if number == 1:
                raise ConnectionError

    with queue.hold(piece(0)) as first:
        running = [asyncio.create_task(run(number)) for number in (3, 2, 1)]
        await asyncio.sleep(0)
        running[0].cancel()
        await asyncio.sleep(0)
        assert turns == []
        first.leave()
        ended = await asyncio.gather(*running, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError, type(None), ConnectionError]
    assert turns == [1, 2]


def planned(*progress: int) -> PlannedTask:
    """Return a plan of three runs, which make 25 frames, as far as it tells."""
    return PlannedTask((None,) * 3, "scenes[0].url_video", "x264", 1.0, 25, (), False, "", (), progress=progress)


def test_runs_that_make_frames_of_a_piece_are_no_preparation() -> None:
    def prepared(*progress: int) -> list[bool]:
        return [planned(*progress).prepares(number) for number in range(3)]

    assert prepared() == [True, True, False]  # as of a still, which is read and made smaller before
    assert prepared(10, 15, -1) == [False, False, False]  # as of one of which some frames are copied
    assert prepared(-1, 10, -1) == [True, False, False]


def test_a_plan_tells_how_many_frames_a_run_makes() -> None:
    def frames(*progress: int) -> list[int]:
        return [planned(*progress).frames_of(number) for number in range(3)]

    assert frames() == [0, 0, 25]
    assert frames(10, 15, -1) == [5, 10, 0]
    assert frames(-1, 10, -1) == [0, 15, 0]
