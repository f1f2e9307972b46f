"""Large inputs of which the beginning is sent, and then what the encoder asks for."""

import os

import pytest

from apigpu.v1.video_pb2 import CaptionRequest, FrameRequest, Operation
from gateway.jobs.model import Status
from servicekit.chunks import HEAD_BYTES
from servicekit.disk import MIB
from tests.integration.gateway.jobs.conftest import Works

SIZE_BYTES = 9 * MIB
FILM = os.urandom(SIZE_BYTES)


def framed(video: str, srt: str) -> Operation:
    return Operation(frame=FrameRequest(caption=CaptionRequest(url_video=video, url_srt=srt), at_seconds=1))


async def test_an_encoder_is_sent_what_it_asks_for_on_the_call_of_its_task(works: Works) -> None:
    """What has come is not sent again: neither the beginning nor what was asked for before."""
    end = SIZE_BYTES - MIB
    works.encoder.asks = [[(end, SIZE_BYTES)], [(0, HEAD_BYTES + 10), (4 * MIB, 4 * MIB + 7), (end - 5, SIZE_BYTES)]]
    video, srt = await works.asset(FILM), await works.asset(b"subtitles")
    job = await works.result((await works.manager.submit(framed(video, srt))).id)
    assert (job.status, len(job.tasks), works.encoder.tasks) == (Status.COMPLETED, 1, 1)
    assert [entry.is_outline for entry in works.encoder.given[0].inputs] == [True, False]
    more = FILM[HEAD_BYTES : HEAD_BYTES + 10] + FILM[4 * MIB : 4 * MIB + 7] + FILM[end - 5 : end]
    assert works.encoder.inputs == [FILM[:HEAD_BYTES], b"subtitles", FILM[end:], more]
    places = [place for place, size in works.encoder.chunks if size in (10, 7, 5)]
    assert places == [HEAD_BYTES, 4 * MIB, end - 5]


async def test_an_encoder_of_before_is_sent_all_of_an_input(works: Works) -> None:
    """It would take the hole behind the beginning for the film, and make a picture of nothing."""
    video, srt = await works.asset(FILM), await works.asset(b"subtitles")
    job = await works.result((await works.manager.submit(framed(video, srt))).id)
    assert (job.status, works.encoder.tasks) == (Status.COMPLETED, 1)
    assert works.encoder.inputs == [FILM, b"subtitles"]


@pytest.mark.parametrize(
    "asks",
    [
        [[(5, 5)]],
        [[(MIB, SIZE_BYTES + 1)]],
        [[(2 * MIB, 3 * MIB), (MIB, 2 * MIB)]],
        [[]],
        [[(MIB, 2 * MIB)], [(2 * MIB, 3 * MIB)], [(3 * MIB, 4 * MIB)]],
        [[(MIB + 2 * n, MIB + 2 * n + 1) for n in range(257)]],
    ],
)
async def test_what_cannot_be_asked_for_fails_the_task(works: Works, asks: list[list[tuple[int, int]]]) -> None:
    works.encoder.asks = asks
    job = await works.result((await works.manager.submit(framed(await works.asset(FILM), await works.asset()))).id)
    assert job.failure is not None
    assert job.failure.reason == "BAD_PLAN"
