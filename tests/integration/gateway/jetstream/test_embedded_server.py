"""The supervision of the embedded nats-server, in a process of its own: it is taken all file descriptors away."""

import subprocess
import sys

SCRIPT = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from urllib.parse import urlsplit
from gateway.jetstream.server import RESTART_SECONDS, EmbeddedServer, can_connect

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.sleep(2 * RESTART_SECONDS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with asyncio.timeout(60):
        while not await can_connect("127.0.0.1", urlsplit(server.url).port):
            await asyncio.sleep(0.05)
    await server.stop()

asyncio.run(main())
"""


def test_a_server_that_cannot_be_started_now_is_started_later(tmp_path):
    done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "nats"], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "cannot start nats-server; trying again" in done.stdout
