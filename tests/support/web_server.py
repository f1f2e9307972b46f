"""Web servers on loopback whose every byte a test decides, and what goes with them."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network

from api_gpu.local.certs import write_pair
from gateway.sources.fetch import FetchLimits
from servicekit.certificates import SERVER, create_authority, issue_certificate

LOOPBACK = (ip_network("127.0.0.0/8"),)


def limits(**changes):
    defaults = {"max_bytes": 100_000_000, "connect_seconds": 2, "idle_seconds": 5, "total_seconds": 20}
    return FetchLimits(**({"allow_cidrs": LOOPBACK} | defaults | changes))


def fixed(*addresses):
    """A resolver that knows one answer, and counts how often it is asked."""
    asked = []

    async def resolve(host, port):
        asked.append((host, port))
        return addresses

    resolve.asked = asked
    return resolve


def answer(body=b"", status="200 OK", **headers):
    """An answer as bytes; `Content_Length=None` leaves the length out."""
    fields = {"Content_Length": len(body)} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


@dataclass
class Web:
    """A server: `routes` maps targets to bytes, or to a coroutine function that writes to the connection."""

    routes: dict
    scheme: str = "http"
    port: int = 0
    requests: list = field(default_factory=list)
    open_connections: int = 0

    def url(self, target="/", host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.port}{target}"

    async def handle(self, reader, writer):
        self.open_connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                route = self.routes[head.split(" ")[1]]
                if isinstance(route, bytes):
                    writer.write(route)
                    await writer.drain()
                else:
                    await route(writer)
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


class Authority:
    """A throwaway authority: `trusting` is a client's context, `server("name", …)` a server's."""

    def __init__(self, folder):
        self.folder = folder
        self.signer = create_authority("throwaway", timedelta(days=1))
        write_pair(folder, "ca", self.signer)
        self.trusting = ssl.create_default_context(cafile=folder / "ca.crt")

    def server(self, *names):
        write_pair(self.folder, "leaf", issue_certificate(self.signer, "leaf", [SERVER], names, timedelta(days=1)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "leaf.crt", self.folder / "leaf.key")
        return context
