"""An encoder whose disk runs full: the task that fills it fails and says why; the next one runs."""

from tests.support import small_disk

SCRIPT = """
import asyncio, errno, sys
from pathlib import Path
import grpc
from api_gpu.local.certs import make_set
from apigpu.v1.video_pb2 import CaptionRequest, Img2VidImage, Img2VidRequest, Operation
from encoder.tasks.workspace import Workspace
from servicekit.errors import ResourceExhausted, from_rpc
from tests.support import encoder_harness, media
from tests.support.until import until

DISK = Path(sys.argv[1])
CAPTION = Operation(caption=CaptionRequest(url_video="v", url_srt="s"))
LONG = Operation(img2vid=Img2VidRequest(images=[Img2VidImage(id="1", image_url="i", duracao=600)]))
SRT = b"1\\n00:00:00,000 --> 00:00:01,000\\nhello\\n"

async def refused(client, video):
    return await failed(client.encode(CAPTION, {"url_video": video, "url_srt": SRT}))

async def failed(encoding):
    try:
        await encoding
    except grpc.aio.AioRpcError as error:
        return from_rpc(error).reason
    raise AssertionError("it was taken")

async def tasks():
    make_set(DISK / "certs")
    with encoder_harness.running(DISK / "certs", DISK) as running:
        async with running.client() as client:
            assert await refused(client, bytes(40_000_000)) == "DISK_FULL"
            await until(lambda: not running.task_folders())
            assert await refused(client, bytes(1000)) == "BAD_INPUT"
            await until(running.spares)
            with open(DISK / "others", "wb", buffering=0) as file:
                file.write(bytes(32_500_000))
            assert await refused(client, bytes(1000)) == "DISK_FULL"
            assert (await client.capabilities()).slots == 0
            (DISK / "others").unlink()
            assert (await client.capabilities()).slots > 0
            assert await refused(client, bytes(1000)) == "BAD_INPUT"
            still = {"images.image_url": media.image(DISK / "still.png").read_bytes()}
            running_task = asyncio.create_task(failed(client.encode(LONG, still)))
            await until(lambda: any(list(folder.glob("result*")) for folder in running.task_folders()))
            with open(DISK / "others", "wb", buffering=0) as file:
                file.write(bytes(32_500_000))
            assert await running_task == "DISK_FULL"
            await until(lambda: not running.task_folders())

async def anywhere():
    work = DISK / "anywhere"
    work.mkdir()
    async with Workspace(work, work).task_folder() as folder:
        with open(folder.path / "large", "wb", buffering=0) as file:
            while True:
                assert file.write(bytes(65536))

asyncio.run(tasks())
try:
    asyncio.run(anywhere())
except ResourceExhausted as error:
    assert error.reason == "DISK_FULL"
    assert isinstance(error.__cause__, OSError)
    assert list((DISK / "anywhere").iterdir()) == []
else:
    raise AssertionError("the disk was not full")
"""


def test_only_the_task_that_fills_the_disk_fails(tmp_path):
    small_disk.run(SCRIPT, tmp_path, megabytes=32)
