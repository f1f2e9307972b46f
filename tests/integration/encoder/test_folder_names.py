"""Folders whose names FFmpeg, its filters and its lists could read as something else: every operation works in them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.operations import OPERATIONS
from tests.integration.encoder.operations.test_caption_split import planned
from tests.support import encoder_harness, judge, split_films, stories
from tests.support.encoder_harness import Encoder
from tests.support.stories import scene

NAME = "a|b 'c' \"d\":e,f;[g]=h\\i%03d%j*?#$k \N{GREEK SMALL LETTER ALPHA} {l}"
Files = Mapping[str, Path]


@pytest.fixture(scope="module")
def odd(certs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encoder]:
    folder = tmp_path_factory.mktemp("odd") / NAME
    (folder / "fonts").mkdir(parents=True)
    settings = {"OUTPUT_DIR": folder / "out", "FONTS_DIR": folder / "fonts"}
    with encoder_harness.running(certs, folder, settings) as running:
        yield running


def requests(clip: Path, still: Path, sound: Path, cues: Path) -> Mapping[str, tuple[Any, Files]]:
    """A request of each operation, and its inputs."""
    words = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    return {
        "caption": (words, {"url_video": clip, "url_srt": cues}),
        "img2vid": (video_pb2.Img2VidRequest(url_image="i", duration=0.5), {"url_image": still}),
        "addaudio": (
            video_pb2.AddAudioRequest(url_video="v", url_audio="a"),
            {"url_video": clip, "url_audio": sound},
        ),
        "concat": (
            video_pb2.ConcatRequest(url_videos=["v", "w"]),
            {"url_videos[0]": clip, "url_videos[1]": clip},
        ),
        "thumbnail": (video_pb2.ThumbnailRequest(url_video="v", sprites=video_pb2.Sprites()), {"url_video": clip}),
        "probe": (video_pb2.ProbeRequest(url="v"), {"url": clip}),
        "frame": (
            video_pb2.FrameRequest(caption=words),
            {"caption.url_video": clip, "caption.url_srt": cues},
        ),
    }


async def test_every_operation_works(
    odd: Encoder, clip: Path, still: Path, sound: Path, cues: Path, tmp_path: Path
) -> None:
    asked = requests(clip, still, sound, cues)
    assert {*asked, "story"} == {*OPERATIONS}
    async with odd.client() as client:
        for name, (request, files) in asked.items():
            done = await client.encode(video_pb2.Operation(**{name: request}), files)
            assert done.summary is not None
            assert done.data or name == "probe", name
        scenes = [scene(clip), scene(still, duracao=1)]
        shape = {"width": 320, "height": 180, "frame_rate": 25}
        film = await stories.film(client, tmp_path / "film", scenes, url_srt=cues, url_music=sound, **shape)
        assert judge.facts(film.path).frames == 75


async def test_a_film_is_captioned_in_pieces(odd: Encoder, tmp_path: Path) -> None:
    film = split_films.write_film(tmp_path / "film.mp4", 61)
    async with odd.client() as client:
        plan, captions = await planned(client, film)
        assert len(plan.further) == 4
        joined = tmp_path / "joined.mp4"
        summaries: list[encoder_pb2.Summary] = await split_films.join(
            [client], plan, {"url_video": film.read_bytes()}, captions, joined
        )
        assert summaries[-1].frames == judge.facts(joined).frames == 610
