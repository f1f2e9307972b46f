"""What a client must not be able to reach by a URL, and TLS that holds although the connection goes to an address."""

import ssl
from ipaddress import ip_network

import pytest

from servicekit.errors import FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable
from tests.support.web_server import answer, fixed


async def get(fetcher, url):
    async with fetcher.open(url) as source:
        return b"".join([chunk async for chunk in source.chunks()])


def redirect(location, status="302 Found"):
    return answer(b"elsewhere", status, Location=location)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.0.0.1", "0177.1", "[::1]", "[::ffff:127.0.0.1]", "0"],
)
async def test_every_way_to_write_this_machine_is_refused(fetching, host):
    with pytest.raises(PermissionDenied):
        await get(fetching(allow_cidrs=()), f"http://{host}:1/")


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["93.184.216.34", "127.0.0.1"],
        ["127.0.0.1", "93.184.216.34"],
        ["::1"],
        ["fe80::1%eth0"],
        ["64:ff9b::a00:1"],
        ["2002:7f00:1::"],
    ],
)
async def test_a_name_with_any_private_address_is_refused(fetching, addresses):
    with pytest.raises(PermissionDenied, match=r"address of innocent\.example is not a public one"):
        await get(fetching(resolve=fixed(*addresses), allow_cidrs=()), "http://innocent.example/")


async def test_a_name_is_resolved_once_and_its_checked_address_is_used(serve, fetching):
    """A name that changes its mind after the check (DNS rebinding) gains nothing."""
    web = await serve({"/a": answer(b"x")})
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def changing(host, port):
        return next(answers)

    assert await get(fetching(resolve=changing), web.url("/a", "rebinding.example")) == b"x"
    assert next(answers) == ["10.0.0.1"]


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
async def test_redirects_are_followed(serve, fetching, status):
    web = await serve({"/a/b.mp4": redirect("../c?d=e", status), "/c?d=e": answer(b"there")})
    async with fetching().open(web.url("/a/b.mp4")) as source:
        assert source.filename == "b.mp4"
        assert [chunk async for chunk in source.chunks()] == [b"there"]


async def test_five_redirects_are_enough(serve, fetching):
    web = await serve({f"/{number}": redirect(f"/{number + 1}") for number in range(10)} | {"/10": answer(b"there")})
    assert await get(fetching(), web.url("/5")) == b"there"
    with pytest.raises(FailedPrecondition, match="more than 5 times"):
        await get(fetching(), web.url("/4"))


async def test_a_redirect_to_a_private_address_is_refused(serve, fetching):
    inside = await serve({"/admin": answer(b"secret")})
    web = await serve({"/a": redirect(inside.url("/admin", "127.0.0.9")), "/b": redirect("http://10.1.2.3/latest")})
    fetcher = fetching(allow_cidrs=(ip_network("127.0.0.1/32"),))
    for target in ("/a", "/b"):
        with pytest.raises(PermissionDenied):
            await get(fetcher, web.url(target))
    assert inside.requests == []


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://host/x", "http://user:pw@127.0.0.1/", "http://[::1", "http://h:99999/", "gopher:"],
)
async def test_a_redirect_to_what_is_no_source_is_refused(serve, fetching, location):
    web = await serve({"/a": redirect(location)})
    with pytest.raises(InvalidArgument) as caught:
        await get(fetching(), web.url("/a"))
    assert "pw" not in caught.value.message


async def test_tls_is_verified_against_the_name(serve, fetching, authority):
    web = await serve({"/a": answer(b"x")}, authority.server("media.example"))
    fetcher = fetching(resolve=fixed("127.0.0.1"), ssl_context=authority.trusting)
    assert await get(fetcher, web.url("/a", "media.example")) == b"x"
    assert await get(fetcher, web.url("/a", "MEDIA.example.")) == b"x"
    assert web.requests[0].splitlines()[1] == f"Host: media.example:{web.port}"
    with pytest.raises(FailedPrecondition, match=r"certificate of other\.example is not valid") as caught:
        await get(fetcher, web.url("/a", "other.example"))
    assert caught.value.reason == "BAD_CERTIFICATE"


async def test_a_certificate_for_the_address_is_none_for_the_name(serve, fetching, authority):
    web = await serve({"/a": answer(b"x")}, authority.server("127.0.0.1"))
    fetcher = fetching(resolve=fixed("127.0.0.1"), ssl_context=authority.trusting)
    with pytest.raises(FailedPrecondition, match="certificate"):
        await get(fetcher, web.url("/a", "media.example"))
    assert await get(fetcher, web.url("/a", "127.0.0.1")) == b"x"


async def test_an_authority_that_nobody_knows_is_refused(serve, fetching, authority):
    web = await serve({"/a": answer(b"x")}, authority.server("media.example"))
    with pytest.raises(FailedPrecondition, match="certificate"):
        await get(fetching(resolve=fixed("127.0.0.1")), web.url("/a", "media.example"))
    assert web.requests == []


async def test_the_server_is_told_the_name(serve, fetching, authority):
    told = []
    context = authority.server("media.example")
    context.sni_callback = lambda connection, name, _: told.append(name)
    web = await serve({"/a": answer(b"x")}, context)
    await get(fetching(resolve=fixed("127.0.0.1"), ssl_context=authority.trusting), web.url("/a", "media.example"))
    assert told == ["media.example"]


async def test_a_connection_verified_for_one_name_is_not_used_for_another(serve, fetching, authority):
    """Even though both are at one address, the server would keep it open, and the downloads overlap."""
    web = await serve({"/a": answer(b"x")}, authority.server("media.example"))
    fetcher = fetching(resolve=fixed("127.0.0.1"), ssl_context=authority.trusting)
    for _ in range(3):
        async with fetcher.open(web.url("/a", "media.example")):
            with pytest.raises(FailedPrecondition):
                await get(fetcher, web.url("/a", "other.example"))
        with pytest.raises(FailedPrecondition):
            await get(fetcher, web.url("/a", "other.example"))


async def test_a_redirect_from_https_to_http_is_refused(serve, fetching, authority):
    plain = await serve({"/b": answer(b"x")})
    web = await serve({"/a": redirect(plain.url("/b"))}, authority.server("127.0.0.1"))
    with pytest.raises(FailedPrecondition, match="from https to http"):
        await get(fetching(ssl_context=authority.trusting), web.url("/a"))
    assert plain.requests == []


async def test_a_redirect_from_http_to_https_is_followed(serve, fetching, authority):
    web = await serve({"/b": answer(b"x")}, authority.server("127.0.0.1"))
    plain = await serve({"/a": redirect(web.url("/b"))})
    assert await get(fetching(ssl_context=authority.trusting), plain.url("/a")) == b"x"


async def test_a_server_without_tls_is_told_apart_from_a_bad_certificate(serve, fetching, authority):
    web = await serve({"/a": answer(b"x")})
    fetcher = fetching(ssl_context=authority.trusting, connect_seconds=0.3)
    with pytest.raises(Unavailable):
        await get(fetcher, web.url("/a").replace("http:", "https:"))


def test_the_throwaway_authority_is_checked_at_all(authority):
    assert authority.trusting.verify_mode is ssl.CERT_REQUIRED
    assert authority.trusting.check_hostname
