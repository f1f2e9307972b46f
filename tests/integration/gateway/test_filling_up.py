"""What somebody without a key can hold open: it keeps nobody else out."""

import contextlib
import json
import resource
import socket

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from apigpu.v1 import jobs_pb2, jobs_pb2_grpc, system_pb2, system_pb2_grpc
from servicekit.connections import raise_descriptor_limit
from servicekit.tls import Identity
from tests.support.lone_gateway import LoneGateway
from tests.support.missing import without
from tests.support.until import until, until_sync, within
from tests.support.whole_gateway import opened

MANY = 1000
KEY = (("x-api-key", "key"),)
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
# Methods that need no key, and one that does.
METHODS = (
    "/apigpu.v1.SystemService/GetHealth",
    "/apigpu.v1.SystemService/GetInfo",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    REFLECTION,
    "/apigpu.v1.JobService/ListJobs",
)
SERVING = health_pb2.HealthCheckResponse.SERVING


def secure_channel(target, certificates):
    identity = Identity.read(certificates / "client.crt", certificates / "client.key", certificates / "ca.crt")
    return grpc.aio.secure_channel(target, identity.channel_credentials(), [("grpc.use_local_subchannel_pool", 1)])


async def test_a_thousand_calls_without_a_message_keep_nobody_out(tmp_path):
    async with opened(tmp_path) as served, contextlib.AsyncExitStack() as stack:
        target = f"localhost:{served.gateway.components.settings.grpc_port}"
        hostile, honest = [
            await stack.enter_async_context(secure_channel(target, tmp_path / "certs")) for _ in range(2)
        ]
        probing = await stack.enter_async_context(grpc.aio.insecure_channel(served.probes))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=served.http_url, timeout=60))
        stalled = [hostile.stream_stream(method)() for _ in range(MANY // 4) for method in METHODS]
        await until(lambda: sum(call.done() for call in stalled) >= MANY // 4)
        system, jobs = system_pb2_grpc.SystemServiceStub(honest), jobs_pb2_grpc.JobServiceStub(honest)
        for _ in range(5):
            assert (await http.get("/health")).status_code == 200
            assert (await http.get("/jobs", headers=dict(KEY))).status_code == 200
            await within(system.GetHealth(system_pb2.GetHealthRequest()))
            await within(jobs.ListJobs(jobs_pb2.ListJobsRequest(), metadata=KEY))
            check = health_pb2_grpc.HealthStub(probing).Check(health_pb2.HealthCheckRequest())
            assert (await within(check)).status == SERVING
        for call in stalled:
            call.cancel()


async def test_calls_without_a_key_are_ended_before_their_message(tmp_path):
    async with opened(tmp_path) as served:
        target = f"localhost:{served.gateway.components.settings.grpc_port}"
        async with secure_channel(target, tmp_path / "certs") as channel:
            for metadata in ((), (("x-api-key", "wrong"),)):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await within(channel.stream_unary("/apigpu.v1.JobService/ListJobs")(metadata=metadata))
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_watches_with_a_key_keep_no_short_call_out(tmp_path):
    async with opened(tmp_path, max_concurrent_calls=10) as served, httpx.AsyncClient(timeout=60) as http:
        served.encoder.script = ["hang"]
        http.headers["X-API-Key"], http.base_url = "key", served.http_url
        source = (await http.put("/assets/a.png", content=b"picture")).raise_for_status().json()["name"]
        images = [{"id": "a", "image_url": source, "duracao": 1}]
        answer = await http.post("/video/img2vid", json={"images": images}, headers={"prefer": "respond-async"})
        job, watches = answer.json()["id"], contextlib.AsyncExitStack()
        async with watches:
            statuses, lines = [], []
            while 429 not in statuses:
                watch = await watches.enter_async_context(http.stream("GET", f"/job/{job}/watch"))
                statuses.append(watch.status_code)
                if watch.status_code == 200:
                    lines.append(watch.aiter_lines())
                    await anext(lines[-1])
            assert statuses.count(200) == 9
            assert watch.headers["retry-after"] == "1"
            assert (await http.get(f"/job/{job}")).status_code == 200


@contextlib.contextmanager
def idle_connections(port, count, sent=b""):
    """Connections of which each says this, and then nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.settimeout(10)
            with contextlib.suppress(OSError):  # it may be refused
                connection.connect(("127.0.0.1", port))
                connection.sendall(sent)
        yield


DESCRIPTORS = 512


async def test_idle_connections_keep_nobody_out_of_a_gateway_with_few_descriptors(tmp_path):
    raise_descriptor_limit()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2500:
        without("this process may not have 2,500 connections")
    with LoneGateway(tmp_path, descriptors=DESCRIPTORS) as gateway, contextlib.ExitStack() as stack:
        grpc_port, http_port = (int(address.rpartition(":")[2]) for address in (gateway.target, gateway.url))
        for port, sent in (
            (http_port, b""),
            (http_port, b"GET / HTTP/1.1\r\n"),
            (grpc_port, b""),
            (grpc_port, b"\x16"),
        ):
            stack.enter_context(idle_connections(port, DESCRIPTORS, sent))
        for _ in range(5):
            with httpx.Client(base_url=gateway.url, timeout=60) as http:
                until_sync(lambda: answers(http))
        async with secure_channel(gateway.target, gateway.certificates) as channel:
            call = system_pb2_grpc.SystemServiceStub(channel).GetHealth
            await within(call(system_pb2.GetHealthRequest(), wait_for_ready=True))
        levels = [json.loads(line).get("level") for line in gateway.log_lines() if line.startswith("{")]
        assert sum(level in ("warning", "error") for level in levels) < 40
        assert [line for line in gateway.log_lines() if "Traceback" in line] == []


def answers(http):
    with contextlib.suppress(httpx.TransportError):
        return http.get("/health").status_code == 200
