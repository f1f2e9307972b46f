"""story with NVENC: pieces of stills and videos through sessions, which fit together."""

import asyncio
from pathlib import Path

import grpc
import pytest

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1 import video_pb2
from tests.integration.encoder.codecs.conftest import NvencEncoder
from tests.nvdriver.driver import Driver
from tests.support import encoder_harness, judge, stories
from tests.support.encoder_harness import words
from tests.support.stories import scene
from tests.support.until import until

pytestmark = pytest.mark.nvenc


@pytest.mark.parametrize("form", ["h264", *(pytest.param(form, marks=pytest.mark.long) for form in ("hevc", "av1"))])
async def test_pieces_of_sessions_are_joined(
    nvenc_encoder: NvencEncoder, driver: Driver, clip: Path, cues: Path, still: Path, tmp_path: Path, form: str
) -> None:
    scenes = [
        scene(still, duracao=1),
        scene(still, duracao=1.25),
        scene(clip, end=1.5),
        scene(still, duracao=1),
        scene(clip, start=0.5, transition={"kind": 1}),
        scene(still, duracao=0.5),
    ]
    with nvenc_encoder(driver, CODEC="nvenc", NVENC_FORMAT=form) as encoder:
        async with encoder.client() as client:
            film = await stories.film(
                client, tmp_path, scenes, transition={"seconds": 0.5}, url_srt=cues, width=320, height=180
            )
    assert {summary.codec for item, summary in film.summaries.items() if item.startswith("scene")} == {"nvenc"}
    facts = judge.facts(film.path)
    assert facts.codec == form
    assert facts.times == pytest.approx([number / 24 for number in range(facts.frames)], abs=1e-5)
    assert facts.frames / 24 == pytest.approx(1 + 1.25 + 1.5 + 1 + 1.5 + 0.5 - 2)
    shown = judge.pictures(film.path, "gray")
    assert sum(int(picture[140:].max()) > 200 for picture in shown[13:35]) > 18


async def test_sessions_are_set_as_the_encoder_that_planned(
    nvenc_encoder: NvencEncoder, certs: Path, driver: Driver, still: Path, tmp_path: Path
) -> None:
    driver.fault(b_frames=2)
    other = {"NVENC_FORMAT": "hevc", "NVENC_PRESET": "P7", "NVENC_CQ": 40, "NVENC_B_FRAMES": 0, "NVENC_LOOKAHEAD": 8}
    with (
        nvenc_encoder(driver, CODEC="nvenc") as planner,
        encoder_harness.running(certs, tmp_path / "other", {**driver.environment(), "CODEC": "nvenc", **other}) as far,
    ):
        async with planner.client() as client, far.client() as another:
            scenes = [scene(still, duracao=0.5)] * 2
            film = await stories.film(client, tmp_path / "film", scenes, [another], width=320, height=180)
            # What the card cannot do is left to other encoders.
            part = story_pb2.StoryPart.FromString(film.plan.further[0].part)
            part.scene.nvenc.b_frames = 3
            task = encoder_pb2.Task(id="t", part=part.SerializeToString(), codec="nvenc")
            with pytest.raises(grpc.aio.AioRpcError, match="at most 2 B-frames") as caught:
                await client.encode(task, {"scenes[0].image_url": still})
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    facts = judge.facts(film.path)
    assert (facts.codec, facts.frames) == ("h264", 24)


async def test_a_task_that_is_given_up_leaves_nothing(
    nvenc_encoder: NvencEncoder, driver: Driver, cues: Path, still: Path, tmp_path: Path
) -> None:
    scenes = [scene(still, duracao=600), scene(still, duracao=2)]
    with nvenc_encoder(driver, CODEC="nvenc") as encoder:
        async with encoder.client() as client:
            request, files = stories.request_of(scenes, transition={"seconds": 1}, url_srt=cues, width=320, height=180)
            planned = await client.encode(video_pb2.Operation(story=request), files)
            assert planned.summary is not None
            first = planned.summary.further[0]
            inputs = {"scenes[0].image_url": still, "scenes[1].image_url": still, "captions": bytes(planned.data)}
            work = asyncio.create_task(client.encode(encoder_pb2.Task(id="t", part=first.part), inputs))
            await until(lambda: sum("-filter_complex" in words(child) for child in encoder.children()) >= 2)
            work.cancel()
            await until(lambda: not encoder.task_folders())
            await until(lambda: not any("-filter_complex" in words(child) for child in encoder.children()))
            # The card has its session back.
            await stories.film(client, tmp_path, [scene(still, duracao=0.5)], width=320, height=180)


async def test_a_size_that_no_card_makes_is_planned_for_another_codec(
    nvenc_encoder: NvencEncoder, driver: Driver, still: Path
) -> None:
    with nvenc_encoder(driver, CODEC="nvenc") as encoder:
        async with encoder.client() as client:
            plans = [
                await stories.plan(client, [scene(still, duracao=1)], width=width, height=height)
                for width, height in ((64, 36), (320, 180))
            ]
    assert [plan.further[0].codec for plan in plans] == ["x264", "nvenc"]
