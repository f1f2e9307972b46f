"""Damaged and truncated files: a clear error or a result that decodes, and nothing is left behind."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import grpc
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from tests.support import encoder_harness, media, odd_videos, stories
from tests.support.mutations import mutated

# Several of each kind; thousands more are of the long form.
FILES = 120
LONG_FILES = 5000
LONG_SPLICED_FILES = 300
# Of the long form: what once ended as an internal error.
FOUND = (797, 809, 1165, 1643, 1981, 2141, 7474)
REFUSALS = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
VIDEOS = ("mp4", "mkv", "webm", "ts", "avi", "flv")
SOUNDS = ("mp3", "m4a", "ogg", "flac", "wav")
IMAGES = ("png", "jpg", "gif", "webp", "bmp", "tiff")
CUE = b"1\n00:00:02,500 --> 00:00:02,800\nWords\n"
SPLICED_FILES = 15
Case = tuple[str, encoder_harness.Job, dict[str, Path | bytes]]


@pytest.fixture(scope="module")
def samples(media_dir: Path) -> dict[str, bytes]:
    """A tiny file of each kind, by its ending."""
    folder = media_dir / "samples"
    folder.mkdir()
    webm = ["-c:v", "libvpx", "-c:a", "libopus", "-deadline", "realtime"]
    made = [
        media.video(folder / f"v.{ending}", 0.5, "64x64", 25, True, *(webm if ending == "webm" else []))
        for ending in VIDEOS
    ]
    made += [media.tone(folder / f"a.{ending}", 0.5) for ending in SOUNDS]
    made += [media.image(folder / f"i.{ending}", "64x64") for ending in IMAGES]
    made.append(media.srt(folder / "s.srt", [(0, 0.2, "<i>One</i>"), (0.2, 0.4, "{\\an8}Two")]))
    return {path.suffix[1:]: path.read_bytes() for path in made}


def case(samples: dict[str, bytes], seed: int) -> Case:
    """The damaged field, and a task that has it."""
    ending = list(samples)[seed % len(samples)]
    damaged = mutated(samples[ending], seed)
    if ending in IMAGES:
        request = video_pb2.Operation(
            img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.2, width=64, height=64)
        )
        return "url_image", request, {"url_image": damaged}
    if ending in SOUNDS or (ending in VIDEOS and seed % 2):
        request = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
        if ending in SOUNDS:
            return "url_audio", request, {"url_video": samples["mp4"], "url_audio": damaged}
        return "url_video", request, {"url_video": damaged, "url_audio": samples["wav"]}
    request = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
    if ending == "srt":
        return "url_srt", request, {"url_video": samples["mp4"], "url_srt": damaged}
    return "url_video", request, {"url_video": damaged, "url_srt": samples["srt"]}


def plays(path: Path) -> bool:
    """Whether a player finds a picture in a file. Packets that are copied may be damaged: it goes on after them."""
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            with contextlib.suppress(av.FFmpegError):
                if packet.decode():
                    return True
    return False


@dataclass(frozen=True)
class SplicedFilm:
    """A film of which a part is copied where it is captioned, joined with another video, or a scene of a story; and the
    task of that scene."""

    data: bytes
    other: bytes
    scene: bytes

    def case(self, seed: int) -> Case:
        """One of these, of the film damaged."""
        damaged = mutated(self.data, seed)
        if seed % 3 == 0:
            request = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
            return "url_video", request, {"url_video": damaged, "url_srt": CUE}
        if seed % 3 == 1:
            request = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["v", "w"]))
            return "url_videos[0]", request, {"url_videos[0]": damaged, "url_videos[1]": self.other}
        task = encoder_pb2.Task(id=f"scene{seed}", part=self.scene, codec="x264")
        return "scenes[0].url_video", task, {"scenes[0].url_video": damaged}


async def survived(
    encoder: encoder_harness.Encoder, make_case: Callable[[int], Case], seeds: Iterable[int], folder: Path
) -> list[str]:
    """What went wrong, by seed."""
    faults: list[str] = []
    turns = asyncio.Semaphore(2)

    async def one(client: encoder_harness.Client, seed: int) -> None:
        field, operation, inputs = make_case(seed)
        out = folder / f"{seed}.mp4"
        async with turns:
            try:
                done = await client.encode(operation, inputs, timeout_seconds=60)
            except grpc.aio.AioRpcError as error:
                told = error.details() or ""
                if error.code() not in REFUSALS or str(encoder.work_dir) in told:
                    faults.append(f"seed {seed}, {field}: {error.code().name}: {told}")
                return
        out.write_bytes(done.data)
        if not await asyncio.to_thread(plays, out):
            faults.append(f"seed {seed}, {field}: nothing of the result decodes")

    async with encoder.client() as client:
        await asyncio.gather(*(one(client, seed) for seed in seeds))
    return faults


async def test_damaged_files(encoder: encoder_harness.Encoder, samples: dict[str, bytes], tmp_path: Path) -> None:
    faults = await survived(encoder, partial(case, samples), [*range(FILES), *FOUND], tmp_path)
    assert not faults, "\n".join(faults)
    assert encoder.process.poll() is None
    assert encoder.task_folders() == []
    assert encoder.children() == []


def hd_film(folder: Path, flags: str) -> Path:
    """A film that fits a story, with flags of its container."""
    told = "h264_metadata=colour_primaries=1:transfer_characteristics=1:matrix_coefficients=1"
    path = folder / "hd.mp4"
    media.run("-i", odd_videos.FEW["pyramid"].make(folder), "-c", "copy", "-bsf:v", told, "-movflags", flags, path)
    return path


async def spliced_film(client: encoder_harness.Client, path: Path, other: bytes) -> SplicedFilm:
    """A film that can be spliced, and is in each of the ways."""
    shape = {"width": 96, "height": 64, "frame_rate": odd_videos.RATE}
    scenes = [stories.scene(path, start=0.5, end=4.5)]
    task = (await stories.plan(client, scenes, **shape)).further[0]
    film = SplicedFilm(path.read_bytes(), other, task.part)
    for number in range(3):
        _, operation, inputs = film.case(number)
        inputs = {
            field: film.data if field.endswith(("video", "videos[0]")) else data for field, data in inputs.items()
        }
        done = await client.encode(operation, inputs)
        assert done.summary is not None
        assert done.summary.frames_copied > 50
    return film


async def test_damaged_films_of_which_a_part_is_copied(
    client: encoder_harness.Client, encoder: encoder_harness.Encoder, samples: dict[str, bytes], tmp_path: Path
) -> None:
    film = await spliced_film(client, hd_film(tmp_path, "frag_keyframe+empty_moov"), samples["webm"])
    faults = await survived(encoder, film.case, range(SPLICED_FILES), tmp_path)
    assert not faults, "\n".join(faults)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_many_damaged_films_of_which_a_part_is_copied(
    client: encoder_harness.Client, encoder: encoder_harness.Encoder, samples: dict[str, bytes], tmp_path: Path
) -> None:
    film = await spliced_film(client, hd_film(tmp_path, "faststart"), samples["webm"])
    faults = await survived(encoder, film.case, range(LONG_SPLICED_FILES), tmp_path)
    assert not faults, "\n".join(faults)
    assert encoder.task_folders() == []


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_many_damaged_files(encoder: encoder_harness.Encoder, samples: dict[str, bytes], tmp_path: Path) -> None:
    first = int(os.environ.get("FIRST_SEED", FILES))
    faults = await survived(encoder, partial(case, samples), range(first, first + LONG_FILES), tmp_path)
    assert not faults, "\n".join(faults)
