"""What happens before a body is read, and how much of bodies is held: keys, budgets, pace, and errors' echoes."""

import asyncio
import json
import threading

import httpx
import pytest

from gateway.auth import FREE_WRONG_KEYS
from gateway.rest.bodies import Bodies, BodyBudget
from gateway.rest.request import LEAST_BYTES_PER_SECOND, receive_body
from gateway.rest.routes import RouteTable
from gateway.rest.server import RestSettings
from gateway.rest.status import RequestTimeout
from servicekit.echo import MAX_ECHO_LETTERS
from servicekit.errors import ResourceExhausted, Unavailable
from tests.integration.gateway.rest.test_rest_errors import answer, check
from tests.support.raw_http import exchange, statuses
from tests.support.until import until, within

ROUTES = [
    route for route in RouteTable().routes if "/GetInfo" not in route.rpc_path and "/GetHealth" not in route.rpc_path
]
UNSENT = "Content-Length: 1000000\r\nExpect: 100-continue\r\n"


@pytest.mark.parametrize(("given", "reason"), [("", "NO_KEY"), ("X-API-Key: wrong\r\n", "WRONG_KEY")])
@pytest.mark.parametrize("route", ROUTES, ids=str)
async def test_the_key_is_judged_before_the_first_byte_of_the_body(gateway, route, given, reason):
    """The body is never sent: the client waits to be told to go on."""
    path = str(route.template).replace("{", "").replace("}", "")
    head = f"{route.http_method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{given}{UNSENT}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head.encode())
    found = await within(reader.readuntil(b"\r\n\r\n"))
    body = json.loads(await within(reader.readexactly(int(found.lower().split(b"content-length: ")[1].split()[0]))))
    writer.close()
    assert found.startswith(b"HTTP/1.1 401 ")
    assert body["details"][0]["reason"] == reason
    assert not gateway.method


@pytest.mark.parametrize(
    "given", ["X-API-Key: k \t", "X-API-Key:\tk", "authorization: bearer k", "Authorization:BEARER  k "]
)
async def test_blanks_around_a_key_and_the_case_of_its_scheme_do_not_matter(gateway, given):
    head = f"GET /jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{given}\r\n\r\n"
    assert statuses(await exchange(gateway.port, head.encode())) == [200]


async def test_wrong_keys_wait_and_right_ones_do_not(gateway, http):
    async with httpx.AsyncClient(base_url=gateway.url, headers={"x-api-key": "wrong"}, timeout=60) as guesser:
        found = [await guesser.get("/jobs") for _ in range(FREE_WRONG_KEYS + 2)]
        assert [each.status_code for each in found] == [*[401] * (FREE_WRONG_KEYS + 1), 429]
        assert check(429, found[-1].headers, found[-1].json()) == "TOO_MANY_WRONG_KEYS"
        assert (await http.get("/jobs")).status_code == 200
        assert (await guesser.get("/health")).status_code == 200


async def test_wrong_keys_are_counted_by_the_address_that_a_trusted_proxy_names(gateway, http):
    async def guess(address):
        return (await http.get("/jobs", headers={"x-api-key": "wrong", "x-forwarded-for": address})).status_code

    for number in range(FREE_WRONG_KEYS + 1):
        assert await guess(f"2001:db8::{number}") == 401
    assert await guess("2001:db8::beef") == 429
    assert await guess("2001:db8:0:1::beef") == 401


def test_bodies_are_held_within_a_budget_for_each_address_and_in_all():
    budget = BodyBudget(total_bytes=100, network_bytes=60)
    with budget.hold("192.0.2.1") as first, budget.hold("192.0.2.1") as again, budget.hold("192.0.2.2") as other:
        first(50)
        with pytest.raises(ResourceExhausted) as refused:
            again(20)
        assert (refused.value.reason, refused.value.retry_seconds) == ("TOO_MANY_BODIES", 1)
        again(10)
        other(40)
        with pytest.raises(Unavailable):
            other(1)
    with budget.hold("192.0.2.1") as anew:
        anew(60)


async def test_a_body_gives_back_what_it_held():
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow():
        yield b"x" * 50
        arrived.set()
        await go.wait()

    async def quick():
        yield b"x" * 50

    bodies = Bodies(budget=BodyBudget(total_bytes=60, network_bytes=60))
    first = asyncio.create_task(bodies.read(slow(), None, "a", len))
    await within(arrived.wait())
    with pytest.raises(ResourceExhausted):
        await bodies.read(quick(), None, "a", len)
    go.set()
    assert await within(first) == 50
    assert await bodies.read(quick(), None, "a", len) == 50


@pytest.mark.parametrize(
    ("content", "is_here"),
    [(b'{"a":1}', True), (b" " * 65_536, True), (b" " * 65_537, False), (b"[" + b"{}," * 1_500, False)],
    ids=["small", "64 KiB", "more", "many values"],
)
async def test_large_bodies_are_parsed_in_a_thread(content, is_here):
    async def parts():
        yield content

    found = await Bodies().read(parts(), None, "a", lambda _: threading.current_thread() is threading.main_thread())
    assert found is is_here


async def test_one_large_body_is_parsed_at_a_time_though_its_client_leaves():
    running, most, go = set(), [], threading.Event()

    async def parts():
        yield b" " * 100_000

    def use(_):
        running.add(threading.get_ident())
        most.append(len(running))
        go.wait(60)
        running.discard(threading.get_ident())

    bodies = Bodies()
    reads = [asyncio.create_task(bodies.read(parts(), None, "a", use)) for _ in range(3)]
    await until(lambda: most)
    reads[0].cancel()
    await asyncio.sleep(0)
    go.set()
    await within(asyncio.gather(*reads, return_exceptions=True))
    assert most == [1, 1, 1]


class Dripping:
    """A body that comes in drops, on a clock of its own."""

    def __init__(self, drop, seconds):
        self.drop, self.seconds = drop, seconds

    async def __call__(self):
        await asyncio.sleep(self.seconds)
        return {"type": "http.request", "body": self.drop, "more_body": True}


async def read_all(parts):
    return [data async for data in parts]


async def test_a_body_that_comes_drop_by_drop_is_given_up():
    with pytest.raises(RequestTimeout, match="too slowly"):
        await within(read_all(receive_body(Dripping(b"x", 0.02), idle_seconds=0.2)))


async def test_a_body_that_comes_at_the_least_speed_is_read_on():
    received = 0
    async with asyncio.timeout(60):
        async for data in receive_body(Dripping(b"x" * LEAST_BYTES_PER_SECOND, 0.05), idle_seconds=0.5):
            received += len(data)
            if received > 30 * LEAST_BYTES_PER_SECOND:
                break


async def test_a_slow_body_is_answered(start):
    async with start(RestSettings(body_idle_seconds=0.3)) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST /jobs HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Length: 1000\r\n\r\n")
        drip = asyncio.create_task(drops(writer))
        assert (await within(reader.readline())).startswith(b"HTTP/1.1 408 ")
        drip.cancel()
        writer.close()


async def drops(writer):
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.05)


MARK = "Zq"
LONG = MARK * 3_000


def places():
    """Requests that have their caller's text wherever there is a place for it: paths, queries, headers, bodies."""
    yield "GET", f"/{LONG}", {}, None
    yield "GET", f"/job/{LONG}/nothing", {}, None
    yield "PATCH", f"/job/{LONG}", {}, None
    yield "GET", f"/job/{LONG}%ff", {}, None
    yield "GET", f"/jobs?{LONG}=1", {}, None
    yield "GET", f"/jobs?pageSize={LONG}", {}, None
    yield "GET", f"/jobs?status={LONG}", {}, None
    yield "GET", f"/jobs?{'.'.join([MARK] * 2_000)}=1", {}, None
    for name in (
        "Grpc-Timeout",
        "Content-Encoding",
        "Content-Digest",
        f"Grpc-Metadata-{LONG}$",
        "Host",
        "X-Request-Id",
    ):
        yield "POST", "/jobs", {name: LONG[:5_000]}, {}
    yield "POST", "/jobs", {"Content-Encoding": f"{MARK} " * 1_500}, {}
    yield "PUT", "/assets/a", {"Content-Digest": f"sha-256=:{LONG}:"}, {}
    for kind in ("caption", "img2vid"):
        yield "POST", f"/video/{kind}", {}, {LONG: 1}
        yield "POST", f"/video/{kind}", {}, {f"{MARK} " * 3_000: 1}
    yield "POST", "/video/img2vid", {}, {"images": [{"duracao": LONG}]}
    yield "POST", "/video/img2vid", {}, {"images": LONG}
    yield "POST", "/jobs", {}, {LONG: {}}
    yield "POST", "/video/caption", {}, f'{{"{LONG}":1,"{LONG}":2}}'


@pytest.mark.parametrize("place", [*places()], ids=lambda place: f"{place[0]} {place[1][:20]} {[*place[2]]}"[:60])
async def test_errors_repeat_200_letters_of_their_caller_at_most(gateway, place):
    method, path, headers, body = place
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    host = "" if "Host" in headers else "Host: x\r\n"
    head = f"{method} {path} HTTP/1.1\r\n{host}X-API-Key: k\r\nConnection: close\r\nContent-Length: {len(text)}\r\n"
    status, _, found = await answer(gateway.port, f"{head}{lines}\r\n{text}")
    if "X-Request-Id" not in headers:
        assert 400 <= status < 500
    for shown in texts(found):
        assert shown.count(MARK) * len(MARK) <= MAX_ECHO_LETTERS, shown[:400]
        assert len(shown) <= 1_000


def texts(value):
    """Every text in a value of JSON, names included."""
    if isinstance(value, dict):
        for name, inside in value.items():
            yield name
            yield from texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from texts(inside)
    elif isinstance(value, str):
        yield value
