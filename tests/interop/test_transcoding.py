"""The JSON surface beside Envoy and grpc-gateway, in front of one and the same service.

What they understand, refuse or write otherwise is listed with the reason, in transcoding/differences.py.
"""

import base64
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.message import DecodeError

from gateway.rest.protojson import decode
from tests.interop.toolchain import BINARIES, run, sdk, workplace
from tests.interop.transcoding import differences
from tests.support.missing import need
from tests.support.transcoding.cases import ANSWERS, CASES, WRITTEN, Case
from tests.support.transcoding.echo import SERVICE, Echo, descriptor_set, echoing, everything
from tests.support.until import until_async
from tools.pair import free_ports

pytestmark = [pytest.mark.interop, pytest.mark.timeout(1500)]

REFUSED = "refused"
GONE = "no answer"
TYPES = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True)
class Peer:
    """A proxy: its command, given the service's address, a port and a folder; and what it does otherwise."""

    program: Path
    understands: Mapping[str, str]
    writes: Mapping[str, str]
    dies: Sequence[str] = ()

    def command(self, address: str, port: int, folder: Path) -> Sequence[str | Path]:
        return [self.program, address, f"127.0.0.1:{port}"]


class Envoy(Peer):
    def command(self, address: str, port: int, folder: Path) -> Sequence[str | Path]:
        path = folder / "envoy.json"
        path.write_text(json.dumps(bootstrap(address, port)))
        return [self.program, "-c", path, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]


@pytest.fixture(scope="module", params=["envoy", "grpc-gateway"])
def peer(request: pytest.FixtureRequest) -> Peer:
    if request.param == "envoy":
        return Envoy(sdk("envoy"), differences.ENVOY, differences.ENVOY_WRITES, differences.ENVOY_DIES)
    return Peer(grpc_gateway(), differences.GRPC_GATEWAY, differences.GRPC_GATEWAY_WRITES)


def grpc_gateway() -> Path:
    """The program of transcoding/main.go, built with what protoc-gen-grpc-gateway makes of rules.proto."""
    need("go")
    folder = workplace("transcoding")
    (folder / "rules.binpb").write_bytes(descriptor_set())
    run(BINARIES / "buf", "generate", folder=folder)
    run("go", "build", "-o", "bin/gateway", ".", folder=folder)
    return folder / "bin" / "gateway"


@pytest.fixture
async def echo_and_client(peer: Peer, tmp_path: Path) -> AsyncIterator[tuple[Echo, httpx.AsyncClient]]:
    """The service, and a client of the peer in front of it."""
    async with echoing() as (echo, address), serving(peer, address, tmp_path) as client:
        yield echo, client


@contextlib.asynccontextmanager
async def serving(peer: Peer, address: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    (port,) = free_ports(1)
    process = subprocess.Popen(peer.command(address, port, folder), stdin=subprocess.DEVNULL)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def answers() -> bool:
                assert process.poll() is None
                try:
                    return (await client.get("/v1/query")).status_code == 200
                except httpx.TransportError:
                    return False

            await until_async(answers)
            yield client
    finally:
        process.terminate()
        process.wait()


async def test_requests_are_understood_alike(peer, echo_and_client):
    echo, client = echo_and_client
    other = {}
    for case in CASES:
        if case.name not in peer.dies and (understood := await outcome(client, echo, case)) != expected(case):
            other[case.name] = understood
    assert {name: text for name, text in other.items() if name not in peer.understands} == {}
    assert peer.understands.keys() <= other.keys(), "what is listed is no longer so"


async def outcome(client: httpx.AsyncClient, echo: Echo, case: Case) -> str:
    """What the service was asked, as text; or that the request was refused, failed, or got no answer."""
    echo.calls.clear()
    try:
        answer = await client.request(case.method, case.target, content=case.body)
        if answer.status_code >= 400:
            return REFUSED if answer.status_code < 500 else f"failed: {answer.status_code} {answer.text[:200]}"
        return str(everything().FromString(echo.calls[0]))
    except httpx.TransportError:
        return GONE
    except DecodeError as error:
        return str(error)


async def test_what_ends_the_peer(peer, tmp_path):
    async with echoing() as (echo, address):
        for case in [case for case in CASES if case.name in peer.dies]:
            async with serving(peer, address, tmp_path) as client:
                assert await outcome(client, echo, case) == GONE
                await until_async(lambda: nobody_listens(client))


async def nobody_listens(client: httpx.AsyncClient) -> bool:
    """Whether connections are refused: a peer that has crashed takes them until it has written its trace."""
    try:
        await client.get("/v1/query")
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


def expected(case: Case) -> str:
    return REFUSED if case.refused else str(json_format.ParseDict(case.expected, everything()()))


async def test_answers_are_written_alike(peer, echo_and_client):
    _, client = echo_and_client
    answer = await client.post("/v1/whole", content=json.dumps(WRITTEN))
    assert answer.status_code == 200
    written = answer.json()
    other = {name for name, value in WRITTEN.items() if written.get(name, "(missing)") != value}
    other |= {name for name in written if name not in WRITTEN}
    assert {name: written.get(name) for name in other if name not in peer.writes} == {}
    assert {name for name in peer.writes if name in WRITTEN} <= other, "what is listed is no longer so"


async def test_what_they_write_is_read_here(echo_and_client):
    _, client = echo_and_client
    answer = await client.post("/v1/whole", content=json.dumps(WRITTEN))
    again, sent = everything()(), everything()()
    decode.merge(again, answer.json())
    decode.merge(sent, WRITTEN)
    assert str(again) == str(sent)


async def test_answers_that_are_fields_are_written_alike(peer, echo_and_client):
    _, client = echo_and_client
    other = {}
    for name, echoed, ours in ANSWERS:
        answer = await client.post(f"/v1/answers/{name}", json=echoed)
        if answer.status_code != 200 or answer.json() != ours:
            other[f"answer: {name}"] = answer.text
    assert {name: text for name, text in other.items() if name not in peer.writes} == {}
    assert {name for name in peer.writes if name.startswith("answer: ")} <= other.keys(), (
        "what is listed is no longer so"
    )


def without_response_bodies() -> bytes:
    """The compiled protos without the rules that have a response_body, with which Envoy does not start."""
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set())
    for method in [method for file in files.file for service in file.service for method in service.method]:
        rule = method.options.Extensions[annotations_pb2.http]
        kept = [binding for binding in (rule, *rule.additional_bindings) if not binding.response_body]
        made = http_pb2.HttpRule()
        for number, binding in enumerate(kept):
            target = made.additional_bindings.add() if number else made
            target.CopyFrom(binding)
            target.ClearField("additional_bindings")
        rule.CopyFrom(made)
    return files.SerializeToString()


def bootstrap(address: str, port: int) -> dict[str, Any]:
    """Envoy's configuration: its transcoder, as strict as it can be, in front of the service."""
    filters = f"{TYPES}.filters"
    transcoder = {
        "@type": f"{filters}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        "proto_descriptor_bin": base64.b64encode(without_response_bodies()).decode(),
        "services": [SERVICE],
        "convert_grpc_status": True,
        "query_param_unescape_plus": True,
        "print_options": {"always_print_primitive_fields": True},
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
    }
    router = {"@type": f"{filters}.http.router.v3.Router"}
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "echo"}}]}
            ]
        },
        "http_filters": [
            {"name": "envoy.filters.http.grpc_json_transcoder", "typed_config": transcoder},
            {"name": "envoy.filters.http.router", "typed_config": router},
        ],
    }
    host, _, upstream_port = address.rpartition(":")
    cluster = {
        "name": "echo",
        "type": "STATIC",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": "echo",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(host, int(upstream_port))}}]}],
        },
    }
    listener = {
        "address": socket_address("127.0.0.1", port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def socket_address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
