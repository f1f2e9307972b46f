"""Inputs that stand in the request itself: stored as assets when the job is made, and read as those."""

import asyncio
import base64
import hashlib

import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from gateway.jobs import names, operation
from gateway.jobs.claims import IdempotencyKey
from gateway.jobs.inline_inputs import stored_inline
from gateway.jobs.model import Status
from servicekit.errors import AlreadyExists, InvalidArgument, ServiceError

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
    # Beside what the job may have made by now.
    kept = [await works.assets.describe(name.removesuffix(".json")) for name in await stored(works)]
    assert sorted(one.size_bytes for one in kept if not one.content_type.startswith("video/")) == [7, len(PICTURE)]


async def test_a_step_of_a_chain_may_have_one_and_a_name_for_its_result(works):
    step = video_pb2.ChainStep(id="a")
    step.caption.MergeFrom(video_pb2.CaptionRequest(url_video="https://a.example/v.mp4", url_srt=OTHER))
    step.caption.output_filename = "final.mp4"
    job = await works.manager.submit(video_pb2.Operation(chain=video_pb2.ChainRequest(steps=[step])))
    asked = video_pb2.Operation.FromString(job.tasks[0].operation)
    assert asked.caption.url_srt.startswith("assets/")
    assert names.result_name(job, 0) == "final.mp4"


@pytest.mark.parametrize("text", ["1\n00:00:01,000 --> 00:00:02,000\nOlá\n", "step:a", "assets/none", "data:,x"])
async def test_text_in_the_request_is_a_file_whatever_it_looks_like(works, text):
    caption = video_pb2.CaptionRequest(url_video="https://a.example/v.mp4", srt_text=text)
    job = await works.manager.submit(video_pb2.Operation(caption=caption))
    _, message = operation.kind(video_pb2.Operation.FromString(job.request))
    assert dict(operation.inputs(message)) == {"url_video": caption.url_video, "srt_text": message.srt_text}
    asset = await works.assets.describe(message.srt_text.removeprefix("assets/"))
    assert asset.sha256 == hashlib.sha256(text.encode("utf-8-sig")).hexdigest()
    step = video_pb2.ChainStep(id="b", caption=caption)
    job = await works.manager.submit(video_pb2.Operation(chain=video_pb2.ChainRequest(steps=[step])))
    assert video_pb2.Operation.FromString(job.tasks[0].operation).caption.srt_text.startswith("assets/")


async def test_words_and_blank_text_need_no_subtitles(works):
    word = caption_style_pb2.CaptionWord(text="a", end=1)
    caption = video_pb2.CaptionRequest(url_video="https://a.example/v.mp4", srt_text=" ", words=[word])
    job = await works.manager.submit(video_pb2.Operation(caption=caption))
    assert not operation.kind(video_pb2.Operation.FromString(job.request))[1].srt_text


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


async def test_a_request_with_a_key_that_comes_again_stores_nothing_anew(works):
    # Its gateway was killed before there was a job.
    asked = stills(INLINE, OTHER)
    key = IdempotencyKey.of("key", asked.SerializeToString(deterministic=True))
    async with stored_inline(works.manager.sources, asked, "default", key):
        left = await stored(works)
    assert len(left) == 2
    jobs = await asyncio.gather(*(works.manager.submit(asked, "key") for _ in range(4)))
    assert len({job.id for job in jobs}) == 1
    assert await stored(works) == left


async def test_a_request_with_a_key_that_cannot_be_leaves_nothing(works):
    with pytest.raises(InvalidArgument):
        await works.manager.submit(stills(INLINE, "data:image/png;base64,@"), "key")
    assert await stored(works) == []


async def test_nothing_is_stored_of_a_request_whose_key_is_anothers(works):
    await works.manager.submit(stills(INLINE), "key")
    asked = stills(OTHER)
    with pytest.raises(AlreadyExists):
        await works.manager.submit(asked, "key")
    key = IdempotencyKey.of("key", asked.SerializeToString(deterministic=True))
    assert f"{key.asset_id(OTHER)}.json" not in await stored(works)


async def test_the_first_attempt_has_small_inputs_from_memory(works):
    held = works.manager.sources.just_stored
    held.seconds = 600.0
    caption = video_pb2.CaptionRequest(url_video=await works.asset(), srt_text="1\n00:00:00,000 --> 00:00:01,000\nHi\n")
    job = await works.manager.submit(video_pb2.Operation(caption=caption))
    assert (await works.result(job.id)).status is Status.COMPLETED
    assert held.held_bytes == 0


class Leaving:
    """The queue of a manager whose caller is gone the moment its job is queued."""

    def __init__(self, queue):
        self._queue = queue
        self.call = None

    async def put(self, job):
        await self._queue.put(job)
        asyncio.get_running_loop().call_soon(self.call.cancel)


async def test_a_caller_that_is_gone_when_its_job_is_queued_takes_none_of_its_inputs_along(works):
    works.manager.queue = queue = Leaving(works.manager.queue)
    queue.call = asyncio.create_task(works.manager.submit(stills(INLINE)))
    job = await queue.call
    _, message = operation.kind(video_pb2.Operation.FromString(job.request))
    assert await works.assets.describe(message.images[0].image_url.removeprefix("assets/"))


async def test_what_an_earlier_try_stored_stays_where_a_later_one_is_refused(works):
    """As by a gateway of another version: there may be a job of it."""
    asked = stills(INLINE, OTHER)
    key = IdempotencyKey.of("key", asked.SerializeToString(deterministic=True))
    async with works.assets.create("input.png", "image/png", key.asset_id(INLINE)) as writer:
        await writer.write(PICTURE)
        await writer.commit()
    left = await stored(works)

    class Refusing:
        """Sources that know nothing of texts."""

        assets, stored = works.assets, works.manager.sources.stored

        async def store(self, *_):
            raise InvalidArgument("What is this?")

    with pytest.raises(InvalidArgument):
        async with stored_inline(Refusing(), asked, "default", key):
            pass
    assert await stored(works) == left
