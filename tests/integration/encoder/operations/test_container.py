"""The kind of file that is asked for: fragmented MP4 leaves while it is made."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import av
import grpc
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
LIVE = video_pb2.CONTAINER_FRAGMENTED_MP4
SMALL = {"duration": 2, "width": 640, "height": 360}


def asked(kind: str, container: Any) -> video_pb2.Operation:
    """The operation `kind` with all inputs named."""
    made = {
        "caption": lambda: {"caption": video_pb2.CaptionRequest(url_video="v", url_srt="s", container=container)},
        "img2vid": lambda: {"img2vid": video_pb2.Img2VidRequest(url_image="i", container=container, **SMALL)},
        "addaudio": lambda: {"addaudio": video_pb2.AddAudioRequest(url_video="v", url_audio="a", container=container)},
    }
    return video_pb2.Operation(**made[kind]())


@pytest.fixture
def inputs(clip: Path, cues: Path, still: Path, sound: Path) -> dict[str, dict[str, Path | bytes]]:
    return {
        "caption": {"url_video": clip, "url_srt": cues},
        "img2vid": {"url_image": still},
        "addaudio": {"url_video": clip, "url_audio": sound},
    }


@pytest.mark.parametrize("kind", ["caption", "img2vid", "addaudio"])
async def test_a_fragmented_file_shows_and_sounds_the_same(
    client: Client, inputs: dict[str, dict[str, Path | bytes]], tmp_path: Path, kind: str
) -> None:
    whole, live = tmp_path / "whole.mp4", tmp_path / "live.mp4"
    await client.result(whole, asked(kind, video_pb2.CONTAINER_MP4), inputs[kind])
    summary = await client.result(live, asked(kind, LIVE), inputs[kind])
    assert b"moof" in live.read_bytes()
    assert b"moof" not in whole.read_bytes()
    one, other = judge.facts(whole), judge.facts(live)
    assert other.times == pytest.approx(one.times, abs=0.001)
    assert summary.frames == one.frames
    # Not the same bit for bit: the encoder shares threads out by what else runs.
    pairs = zip(judge.pictures(whole), judge.pictures(live), strict=True)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in pairs) < 2
    if one.audio:
        assert np.abs(judge.samples(live)).argmax() == pytest.approx(np.abs(judge.samples(whole)).argmax(), abs=1100)


async def test_the_first_part_plays_long_before_the_last_is_made(client: Client, cues: Path, tmp_path: Path) -> None:
    video = media.video(tmp_path / "v.mp4", 40, "640x360")
    contents: dict[str, Path | bytes] = {"url_video": video, "url_srt": cues}
    accepted = asyncio.get_running_loop().create_future()
    call = client.stub.Encode(encoder_harness.requests(asked("caption", LIVE), contents, accepted))
    accepted.set_result("x-accepted" in await call.initial_metadata())
    parts, data = [], bytearray()
    done_at_first_chunk = 0.0
    async for response in call:
        part = response.WhichOneof("part")
        parts.append(part)
        data += response.chunk
        if part == "chunk" and not done_at_first_chunk:
            (tmp_path / "start.mp4").write_bytes(data)
            done_at_first_chunk = len(parts)
    kinds = [kind for kind, _ in itertools.groupby(parts)]
    assert kinds[-1] == "summary"
    assert kinds.count("chunk") > 2  # with progress between
    with av.open(str(tmp_path / "start.mp4")) as container:
        assert len(list(itertools.islice(container.decode(video=0), 5))) == 5


async def test_an_unknown_kind_is_refused(client: Client, inputs: dict[str, dict[str, Path | bytes]]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(asked("caption", 99), inputs["caption"])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith("container: ")
