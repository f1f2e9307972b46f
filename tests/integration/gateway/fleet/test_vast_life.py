"""The whole life of a rented machine, by hand: offer, order, a real encoder, a task, its end."""

import asyncio
import time
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from apigpu.v1.video_pb2 import CaptionRequest, Operation
from gateway.fleet.instances.credentials import LaunchSpec, issue, open_encoder
from gateway.fleet.instances.instance import new_label
from gateway.fleet.providers.vast.client import VastClient
from gateway.fleet.providers.vast.provider import VastProvider, VastSettings
from gateway.sources.opened import Source
from gateway.workers.base import EncodeJob, EncoderLost, Input
from tests.emulators.encoderhost import EncoderHost
from tests.emulators.vastemulator import KEY, VastEmulator
from tests.emulators.vastmarket import offer
from tests.emulators.vastrig import context
from tests.support import judge, media
from tests.support.until import HANG_SECONDS, until_async, within


def entry(field, path):
    async def chunks():
        yield path.read_bytes()

    @asynccontextmanager
    async def opened():
        yield Source(path.name, None, chunks)

    return Input(field, str(path), opened)


@pytest.fixture
def vast(tmp_path):
    with VastEmulator([offer()], EncoderHost(tmp_path / "hosts"), time_scale=3600) as emulator:
        yield emulator


@pytest.fixture
async def provider(vast):
    settings = VastSettings(worker_image="org/encoder:1", max_usd_per_hour=0.5)
    made = VastProvider(VastClient(vast.url, KEY, {}), settings, context())
    yield made
    await made.close()


async def address_of(provider, label):
    async def found():
        (ours,) = [one for one in await provider.list_instances() if one.label == label]
        return ours.address

    return await until_async(found)


class Written:
    """What is told of a run: the bytes of the result go to a file, the first progress to `told`."""

    is_shutting_down = False

    def __init__(self, path, told=None):
        self.path, self.told = path, told

    async def chunk(self, data):
        with self.path.open("ab") as file:
            file.write(data)

    async def waiting(self, *, is_starting, reason=""):
        pass

    async def started(self):
        pass

    async def progress(self, progress):
        if self.told:
            self.told()


def caption(folder, seconds):
    video = media.grey_video(folder / "grey.mp4", seconds)
    cues = media.srt(folder / "cues.srt", [(0.2, 0.8, "Rented")])
    operation = Operation(caption=CaptionRequest(url_video="v", url_srt="s"))
    return EncodeJob("task", operation, [entry("url_video", video), entry("url_srt", cues)])


@asynccontextmanager
async def rented(provider):
    """A machine that answers; its number at the provider, and its encoder."""
    label = new_label("api-gpu")
    issued = issue(label, 3600, [ip_network("127.0.0.0/8")])
    (best, *_) = await provider.offers()
    number = await provider.create(best, LaunchSpec(label, issued.environment))
    encoder = open_encoder(await address_of(provider, label), label, issued.access)
    try:
        await encoder.capabilities(HANG_SECONDS)  # it takes a moment to start
        yield number, encoder
    finally:
        await encoder.close()


async def test_a_rented_machine_does_a_task_and_is_gone(vast, provider, tmp_path):
    job, result = caption(tmp_path, seconds=1), tmp_path / "result.mp4"
    async with rented(provider) as (number, encoder):
        begun = time.monotonic()
        summary = (await encoder.run(job, Written(result))).summary
    assert (summary.codec, summary.frames) == ("x264", 25)
    assert judge.differing(judge.pictures(result)[12], judge.pictures(tmp_path / "grey.mp4")[12]).any()

    (container,) = vast.launch.started
    assert container.is_alive
    seconds = time.monotonic() - begun
    await provider.destroy(number)
    assert not container.is_alive
    assert await provider.list_instances() == []
    spent_usd = vast.spent_usd
    assert spent_usd > 0.25 * seconds  # at an hour a second
    await asyncio.sleep(0.05)
    assert vast.spent_usd == spent_usd


async def test_a_host_that_is_cut_off_in_mid_task_loses_the_task_at_once(vast, provider, tmp_path):
    job = caption(tmp_path, seconds=60)
    async with rented(provider) as (number, encoder):
        cut_off = Written(tmp_path / "result.mp4", lambda: vast.go_offline(int(number)))
        with pytest.raises(EncoderLost):
            await within(encoder.run(job, cut_off))
    (found,) = await provider.list_instances()
    assert (found.fault.split(":")[0], found.address) == ("offline", "")
    await provider.destroy(number)


async def test_a_machine_whose_encoder_ends_is_a_fault(vast, provider):
    label = new_label("api-gpu")
    (best, *_) = await provider.offers()
    broken = issue(label, 3600).environment | {"TLS_BUNDLE": "broken"}
    number = await provider.create(best, LaunchSpec(label, broken))

    async def fault():
        (listed,) = await provider.list_instances()
        return listed.fault

    assert (await until_async(fault)).startswith("exited")
    await provider.destroy(number)
