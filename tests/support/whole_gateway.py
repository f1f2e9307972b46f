"""A gateway as gateway/app.py wires it, in this process, and the scripted encoder that it sends its tasks to."""

import contextlib
from dataclasses import dataclass

from api_gpu.local.certs import make_set
from gateway.app import Gateway
from gateway.config import GatewaySettings
from tests.integration.gateway.jobs.conftest import ScriptedEncoder, serving
from tools.pair import free_ports


@dataclass
class Served:
    gateway: Gateway
    encoder: ScriptedEncoder
    http_url: str
    probes: str


@contextlib.asynccontextmanager
async def opened(tmp_path, **changes):
    certs = tmp_path / "certs"
    make_set(certs)
    encoder = ScriptedEncoder(slots=1)
    http, port, health = free_ports(3)
    async with serving(encoder, certs) as address, contextlib.AsyncExitStack() as stack:
        settings = {
            "host": "127.0.0.1",
            "port": http,
            "grpc_port": port,
            "health_port": health,
            "metrics_port": 0,
            "x_api_key": "key",
            "data_dir": tmp_path,
            "encoders": (f"127.0.0.1:{address}",),
            "tls_cert": certs / "gateway.crt",
            "tls_key": certs / "gateway.key",
            "tls_client_ca": certs / "client-ca.crt",
            "encoder_ca": certs / "ca.crt",
            "drain_seconds": 0,
        }
        gateway = await Gateway.open(GatewaySettings.load(**settings | changes), stack)
        yield Served(gateway, encoder, f"http://127.0.0.1:{http}", f"127.0.0.1:{health}")
