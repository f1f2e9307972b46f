"""Servers, fetchers and certificates that end with their test."""

import asyncio
import contextlib

import pytest

from gateway.sources.fetch import Fetcher
from gateway.sources.guard import resolve_by_system
from tests.support.web_server import Authority, Web, limits


@pytest.fixture
async def serve():
    """Start servers: `web = await serve({"/a": answer(b"…")})`."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(routes, tls=None):
            web = Web(routes, "https" if tls else "http")
            server = await asyncio.start_server(web.handle, "127.0.0.1", 0, ssl=tls)
            stack.callback(server.close)
            web.port = server.sockets[0].getsockname()[1]
            return web

        yield start


@pytest.fixture
def fetching():
    """Make fetchers."""

    def make(resolve=resolve_by_system, ssl_context=None, own=None, **changes):
        return Fetcher(limits(**changes), ssl_context, resolve, own)

    return make


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)
