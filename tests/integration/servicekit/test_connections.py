"""Connections, and calls on them: what a server lets clients do, and for how long."""

import asyncio
import contextlib
import re
from pathlib import Path

import grpc
import pytest
from grpc._cython import cygrpc

from servicekit.server import Service
from servicekit.tasks import cancel_and_wait
from tests.support.paths import ROOT
from tests.support.until import within

OPTION = re.compile(r'\("(grpc\.[a-z0-9_.]+)",')


def test_grpc_knows_every_option_that_it_is_given():
    """It takes a key that it does not know without a word."""
    files = [
        path for package in ("servicekit", "gateway", "encoder", "api_gpu") for path in (ROOT / package).rglob("*.py")
    ]
    keys = {key for path in files for key in OPTION.findall(path.read_text())}
    assert "grpc.http2.min_ping_interval_without_data_ms" in keys
    known = Path(cygrpc.__file__).read_bytes()
    assert [key for key in keys if key.encode() + b"\0" not in known] == []


@contextlib.asynccontextmanager
async def serving(max_call_seconds=10, **terms):
    """Yield the address of a service of one method, and an event.

    The method sleeps for the seconds that it is told, or until the event for "released", and answers with the peer.
    """
    released = asyncio.Event()

    async def sleep(request, context):
        await (released.wait() if request == b"released" else asyncio.sleep(float(request)))
        return context.peer().encode()

    service = Service([], max_call_seconds, **terms)
    handlers = {"Sleep": grpc.unary_unary_rpc_method_handler(sleep)}
    service.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Test", handlers),))
    port = service.listen("127.0.0.1:0", grpc.local_server_credentials())
    service.listen_for_probes("127.0.0.1:0")
    await service.start()
    yield f"127.0.0.1:{port}", released
    await service.drain(0)


# Kinds of HTTP/2's frames.
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def silent_call(seconds):
    """What a client sends that calls Sleep. It is written out, as gRPC's own client pings once a second at most."""
    pairs = {":method": "POST", ":scheme": "http", ":path": "/t.Test/Sleep", ":authority": "localhost"}
    pairs |= {"content-type": "application/grpc", "te": "trailers"}
    # Each is a zero (neither indexed nor to be), then name and value with their lengths before them.
    headers = b"".join(bytes([len(text)]) + text.encode() for pair in pairs.items() for text in ("", *pair))
    message = str(seconds).encode()
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(SETTINGS)
        + frame(HEADERS, 4, 1, headers)
        + frame(DATA, 1, 1, b"\0" + len(message).to_bytes(4) + message)
    )


async def ping_for_ever(writer):
    while True:
        await asyncio.sleep(0.15)
        writer.write(frame(PING, payload=bytes(8)))


async def first_of(reader, *wanted):
    """The kind of the first frame of these kinds that comes."""
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3]))
        if head[3] in wanted:
            return head[3]


@pytest.mark.parametrize(("least_seconds", "end"), [(0.02, DATA), (60, GOAWAY)])
async def test_a_client_may_ping_on_a_silent_call_so_often(least_seconds, end):
    async with serving(client_ping_seconds=least_seconds) as (address, _):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        # A busy machine pings less often.
        writer.write(silent_call(seconds=1.2 if end == DATA else 60))
        pinging = asyncio.create_task(ping_for_ever(writer))
        try:
            assert await within(first_of(reader, DATA, GOAWAY)) == end
        finally:
            await cancel_and_wait(pinging)
            writer.close()


@pytest.mark.parametrize("sent", [b"", b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_a_connection_that_does_not_begin_is_closed(sent):
    async with serving(handshake_seconds=0.3) as (address, _):
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(sent)
        await within(reader.read())  # until its end
        writer.close()


async def idle_connections(address, count):
    """Connections that say what a client of HTTP/2 says, and then nothing."""
    opened = [await asyncio.open_connection(*address.split(":")) for _ in range(count)]
    for _, writer in opened:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
    return opened


async def test_idle_connections_end_for_new_ones_and_those_with_calls_do_not():
    async with (
        serving(60, connections=12) as (address, released),
        grpc.aio.secure_channel(address, grpc.local_channel_credentials()) as channel,
    ):
        long = channel.unary_unary("/t.Test/Sleep")(b"released")
        await channel.unary_unary("/t.Test/Sleep")(b"0")
        idle = await idle_connections(address, 40)
        # Connections beyond the limit are refused, so that it takes until the next look.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
        for _ in range(3):
            async with grpc.aio.secure_channel(address, grpc.local_channel_credentials(), options) as fresh:
                await within(fresh.unary_unary("/t.Test/Sleep")(b"0", wait_for_ready=True))
        assert not long.done()
        released.set()
        await long
        for _, writer in idle:
            writer.close()


async def test_a_call_outlives_the_age_of_its_connection():
    async with (
        serving(60, connection_age_seconds=0.5) as (address, released),
        grpc.aio.secure_channel(address, grpc.local_channel_credentials()) as channel,
    ):
        sleep = channel.unary_unary("/t.Test/Sleep")
        long = sleep(b"released")
        early = await sleep(b"0")
        while await sleep(b"0.1") == early:  # until the connection takes no more
            pass
        assert not long.done()
        released.set()
        assert await long == early
