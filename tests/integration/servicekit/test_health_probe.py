"""The command by which container engines ask whether a service serves."""

import asyncio
import sys

import pytest

from servicekit.server import Service


async def probe(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "servicekit.probe", *arguments, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


@pytest.fixture
async def service():
    made = Service([], max_call_seconds=60)
    made.port = made.listen_for_probes("127.0.0.1:0")
    await made.start()
    yield made
    await made.drain(0)


async def test_it_tells_whether_the_service_serves(service):
    assert await probe(str(service.port)) == 0
    await service.report_not_serving()
    assert await probe(str(service.port)) == 1


async def test_nobody_there_is_not_serving(unused_tcp_port):
    assert await probe(str(unused_tcp_port)) == 1


@pytest.mark.parametrize("arguments", [(), ("http",), ("1", "2")])
async def test_a_wrong_command_line_is_told(arguments):
    assert await probe(*arguments) == 2
