"""The supervision of the embedded nats-server."""

import asyncio
import os
import resource
import signal

from gateway.engine.embedded import RESTART_SECONDS, EmbeddedServer, can_connect


async def test_a_server_that_cannot_be_started_now_is_started_later(tmp_path):
    server = EmbeddedServer(tmp_path / "nats")
    await server.start()
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))  # no descriptor is to be had
        try:
            os.kill(server._process.pid, signal.SIGKILL)
            await asyncio.sleep(2 * RESTART_SECONDS)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        async with asyncio.timeout(10):
            while not await can_connect("127.0.0.1", server._port):
                await asyncio.sleep(0.05)
    finally:
        await server.stop()
