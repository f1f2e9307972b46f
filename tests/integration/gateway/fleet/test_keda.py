"""What KEDA is told: a client made from its proto asks a real gateway, with real jobs on an encoder that can hang."""

import asyncio
import functools

import grpc
import httpx
import pytest

from encoder.config import EncoderSettings
from externalscaler import externalscaler_pb2, externalscaler_pb2_grpc
from gateway.jobs.fairness import Share
from tests.support.until import until, until_async, within
from tests.support.whole_gateway import opened

REF = externalscaler_pb2.ScaledObjectRef(
    name="encoder", namespace="apigpu", scalerMetadata={"scalerAddress": "gateway:50053", "tasksPerEncoder": "2"}
)
ASK = externalscaler_pb2.GetMetricsRequest(scaledObjectRef=REF, metricName="tasks")


@pytest.fixture
async def gateway(tmp_path):
    async with opened(tmp_path) as gateway:
        yield gateway


@pytest.fixture
async def keda(gateway):
    async with grpc.aio.insecure_channel(gateway.probes) as channel:
        yield externalscaler_pb2_grpc.ExternalScalerStub(channel)


async def tasks(keda):
    (value,) = (await keda.GetMetrics(ASK)).metricValues
    assert (value.metricName, value.metricValueFloat) == ("tasks", value.metricValue)
    return value.metricValue


@pytest.fixture
async def http(gateway):
    async with httpx.AsyncClient(base_url=gateway.http_url, headers={"X-API-Key": "key"}, timeout=60) as client:
        yield client


async def submit(http, names):
    """A job of one task for each name."""
    source = (await http.put("/assets/a.png", content=b"picture")).raise_for_status().json()["name"]
    images = [{"id": name, "image_url": source, "duracao": 1} for name in names]
    return (await http.post("/jobs", json={"img2vid": {"images": images}})).raise_for_status().json()["id"]


async def test_the_numbers_follow_the_queue(gateway, keda, http):
    assert await tasks(keda) == 0
    assert not (await keda.IsActive(REF)).result
    gates = [asyncio.Event() for _ in range(3)]
    gateway.encoder.script = [gate.wait for gate in gates]
    await submit(http, "abc")
    assert await tasks(keda) == 3  # one runs, two wait
    order = gateway.gateway.components.jobs.store.index.order
    everybodys, order.share_of = order.share_of, lambda tenant: Share(max_running=1)
    await until(lambda: order.busy)
    assert await tasks(keda) == 1  # no encoder would help the others
    order.share_of = everybodys
    assert (await keda.IsActive(REF)).result
    for left, gate in zip((2, 1, 0), gates, strict=True):
        gate.set()
        await until_async(functools.partial(has, keda, left))
    assert not (await keda.IsActive(REF)).result


async def has(keda, count):
    found = await tasks(keda)
    assert count <= found <= count + 1
    return found == count


async def test_work_is_pushed_at_once_and_its_end_too(gateway, keda, http):
    gateway.encoder.script = ["hang"] * 2
    pushed = keda.StreamIsActive(REF)
    assert not (await pushed.read()).result
    coming = asyncio.create_task(pushed.read())
    await asyncio.sleep(0.1)
    assert not coming.done()
    job = await submit(http, "ab")
    assert (await within(coming)).result
    (await http.post(f"/job/{job}/cancel")).raise_for_status()
    assert not (await within(pushed.read())).result
    pushed.cancel()


async def test_a_stream_ends_with_its_client_and_well_with_the_gateway(gateway, keda, http):
    index = gateway.gateway.components.jobs.store.index
    gone, staying = keda.StreamIsActive(REF), keda.StreamIsActive(REF)
    await gone.read()
    await staying.read()
    assert len(index.followers.of_queue) == 2
    gone.cancel()
    await until(lambda: len(index.followers.of_queue) == 1)
    await asyncio.gather(gateway.gateway.drain(), closed_well(staying))
    assert not index.followers.of_queue


async def closed_well(stream):
    """KEDA comes back the sooner for a stream that ended without an error."""
    assert await within(stream.read()) is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_the_target_is_that_of_the_trigger_or_the_encoders_default(keda):
    (spec,) = (await keda.GetMetricSpec(REF)).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("tasks", 2, 2.0)
    (spec,) = (await keda.GetMetricSpec(externalscaler_pb2.ScaledObjectRef(name="encoder"))).metricSpecs
    assert spec.targetSize == EncoderSettings.model_fields["batch_size"].default
    for value in ("0", "-1", "three", "", "2.5", "²", "9" * 20):
        ref = externalscaler_pb2.ScaledObjectRef(scalerMetadata={"tasksPerEncoder": value})
        with pytest.raises(grpc.aio.AioRpcError, match="BATCH_SIZE") as refused:
            await keda.GetMetricSpec(ref)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_port_of_probes_gives_nothing_else_away(gateway):
    async with grpc.aio.insecure_channel(gateway.probes) as channel:
        call = channel.unary_unary("/apigpu.v1.JobService/ListJobs")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"")
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
