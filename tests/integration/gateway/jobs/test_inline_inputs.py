"""Inputs that stand in the request itself: stored as assets when the job is made, and read as those."""

import base64
import hashlib

import pytest

from apigpu.v1 import video_pb2
from gateway.jobs import names, operation
from servicekit.errors import InvalidArgument, ServiceError

PICTURE = bytes(range(256)) * 4000
INLINE = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
OTHER = "data:text/plain;charset=koi8-r,caption"


def stills(*sources):
    images = [video_pb2.Img2VidImage(id=str(n), image_url=source, duracao=1) for n, source in enumerate(sources)]
    return video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(images=images))


async def stored(works):
    return sorted(await works.assets.bucket.list_objects("records"))


async def test_each_is_stored_once_and_named_in_the_record(works):
    asked = stills(INLINE, "https://a.example/b.png", INLINE, OTHER)
    before = asked.SerializeToString()
    job = await works.manager.submit(asked)
    assert asked.SerializeToString() == before
    _, message = operation.kind(video_pb2.Operation.FromString(job.request))
    first, second, third, fourth = (image.image_url for image in message.images)
    assert (first, second) == (third, "https://a.example/b.png")
    assert len(job.request) < 1000
    asset = await works.assets.describe(first.removeprefix("assets/"))
    assert (asset.filename, asset.content_type, asset.size_bytes) == ("input.png", "image/png", len(PICTURE))
    assert asset.sha256 == hashlib.sha256(PICTURE).hexdigest()
    text = await works.assets.describe(fourth.removeprefix("assets/"))
    assert (text.size_bytes, text.charset) == (len("caption"), "koi8-r")
    assert len(await stored(works)) == 2


async def test_a_step_of_a_chain_may_have_one_and_a_name_for_its_result(works):
    step = video_pb2.ChainStep(id="a")
    step.caption.MergeFrom(video_pb2.CaptionRequest(url_video="https://a.example/v.mp4", url_srt=OTHER))
    step.caption.output_filename = "final.mp4"
    job = await works.manager.submit(video_pb2.Operation(chain=video_pb2.ChainRequest(steps=[step])))
    asked = video_pb2.Operation.FromString(job.tasks[0].operation)
    assert asked.caption.url_srt.startswith("assets/")
    assert names.result_name(job, 0) == "final.mp4"


async def test_one_that_cannot_be_read_leaves_nothing_and_is_named(works):
    with pytest.raises(InvalidArgument, match="says that it is base64") as refused:
        await works.manager.submit(stills(INLINE, "data:image/png;base64,@"))
    assert list(refused.value.fields) == ["images.image_url"]
    assert await stored(works) == []


async def test_a_job_that_is_not_taken_leaves_nothing(works):
    works.bucket.is_away = True
    with pytest.raises(ServiceError):
        await works.manager.submit(stills(INLINE))
    works.bucket.is_away = False
    assert await stored(works) == []
