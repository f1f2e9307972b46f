"""Hostile files: none has the encoder read a file that was not sent, or speak to anyone; each gets a clear error."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, hostile, judge, media

Client = encoder_harness.Client
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
IN_A_FONT = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s", url_font="f"))
ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
IMG2VID = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(url_image="i", duration=0.1, width=64, height=64))
# Every kind of input: its field, the operation, the others that this one takes.
ROLES = {
    "video": ("url_video", CAPTION, ("url_srt",)),
    "scored": ("url_video", ADDAUDIO, ("url_audio",)),
    "audio": ("url_audio", ADDAUDIO, ("url_video",)),
    "image": ("url_image", IMG2VID, ()),
    "subtitles": ("url_srt", CAPTION, ("url_video",)),
    "font": ("url_font", IN_A_FONT, ("url_video", "url_srt")),
}


@pytest.fixture(scope="module")
def secret(media_dir: Path) -> Path:
    """A file that the encoder's user may read: whatever its kind, it would do as video, sound and picture."""
    return media.video(media_dir / "secret.ts", 1, "64x64")


@pytest.fixture
def good(clip: Path, cues: Path, sound: Path) -> dict[str, Path]:
    """An honest file for each field."""
    return {"url_video": clip, "url_srt": cues, "url_audio": sound}


@contextlib.contextmanager
def unread(path: Path) -> Iterator[None]:
    """Fails when the file is read meanwhile."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns))
    yield
    assert path.stat().st_atime_ns == 0, f"{path.name} was read"


@contextlib.contextmanager
def unvisited() -> Iterator[str]:
    """The URL of a server on this machine; fails when somebody calls it meanwhile."""
    callers: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    callers.append(server.accept()[1])

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/secret.ts"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert not callers


async def refused(client: Client, role: str, data: bytes, good: dict[str, Path], *words: str) -> None:
    """The file is refused by its field, and none of the words is told."""
    field, operation, others = ROLES[role]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operation, {field: data, **{name: good[name] for name in others}}, timeout_seconds=60)
    told = caught.value.details() or ""
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, told
    assert told.startswith(f"{field}: ")
    assert not [word for word in words if word in told]


def test_a_read_would_be_seen(secret: Path) -> None:
    with pytest.raises(AssertionError, match=r"secret\.ts was read"), unread(secret):
        secret.read_bytes()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", hostile.TEXTS)
async def test_a_list_reads_no_file(client: Client, good: dict[str, Path], secret: Path, kind: str, role: str) -> None:
    with unread(secret):
        for target in (str(secret), f"file:{secret}", f"concat:{secret}", f"subfile,,start,0,end,0,,:{secret}"):
            await refused(client, role, hostile.text(kind, target), good, str(secret))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", hostile.TEXTS)
async def test_a_list_calls_nobody(client: Client, good: dict[str, Path], kind: str, role: str) -> None:
    with unvisited() as url:
        await refused(client, role, hostile.text(kind, url), good, url)


# The inputs of a task lie side by side: a list may not name another of them either.
@pytest.mark.parametrize("kind", ["m3u8", "ffconcat"])
async def test_a_list_reads_no_other_input(client: Client, good: dict[str, Path], kind: str) -> None:
    good["url_audio"] = good["url_video"]
    for role, other in (("scored", "input1"), ("audio", "input0")):
        for name in (other, f"./{other}", f"file:{other}"):
            await refused(client, role, hostile.text(kind, name), good)


@pytest.fixture
def borrowing(secret: Path, tmp_path: Path) -> Path:
    """A MOV without samples of its own: they lie in another file, which it names."""
    whole = media.video(secret.with_name("whole.mov"), 1, "64x64")
    path = tmp_path / "borrowing.mov"
    path.write_bytes(hostile.external(whole.read_bytes(), whole))
    return path


async def test_samples_in_another_file_are_not_read(
    client: Client, good: dict[str, Path], borrowing: Path, secret: Path, tmp_path: Path
) -> None:
    whole = secret.with_name("whole.mov")
    # The attack is real: FFmpeg follows it when it is let to.
    media.run("-enable_drefs", "1", "-use_absolute_path", "1", "-i", borrowing, tmp_path / "followed.mp4")
    assert judge.facts(tmp_path / "followed.mp4").frames == 25
    with unread(whole):
        for role in ("video", "scored", "audio"):
            await refused(client, role, borrowing.read_bytes(), good)


async def test_a_picture_that_would_fill_the_memory_is_refused(client: Client, good: dict[str, Path]) -> None:
    for side in (20_000, 60_000, 2**31 - 1):
        await refused(client, "image", hostile.huge_png(side), good)


async def test_it_serves_on(encoder: encoder_harness.Encoder, client: Client, good: dict[str, Path]) -> None:
    await client.encode(CAPTION, {name: good[name] for name in ("url_video", "url_srt")})
    assert encoder.task_folders() == []
    assert encoder.children() == []
