"""Requests that make the gateway work for its answer: forms of many parts, compressed lists, parts of files, waits."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from attack.target import Row, Target
from attack.wire import connection, counted, head, request, status

FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FORM_BYTES = 4 * 1024 * 1024
# Each begins a part, or looks as if it did.
UNITS = {
    "parts": b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n',
    "heads": b"X-A: b\r\n",
    "boundaries that are none": b"\r\n--",
}
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
LISTS, AT_ONCE = 40, 8
RANGES = 200
WAITS, WAIT_SECONDS = 300, 15


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Send forms, ask for compressed lists and parts of files, and wait for a job that does not end."""
    key = {"X-API-Key": target.pair.key}
    for name, unit in UNITS.items():
        body = (FILE if "none" in name else b"--b\r\n" if name == "heads" else b"") + unit * (FORM_BYTES // len(unit))
        post = functools.partial(_many, target, "POST", "/assets", {**key, **FORM}, body, 4)
        yield await target.under(f"forms of many {name}", post, max_cpu_seconds=4, max_memory_mib=64)
    zipped = {**key, "Accept-Encoding": "gzip"}
    lists = functools.partial(_many, target, "GET", "/jobs?pageSize=1000", zipped, b"", LISTS)
    yield await target.under(f"{LISTS} compressed lists", lists, max_cpu_seconds=8)
    yield await target.under(f"{RANGES} parts of a file", functools.partial(_ranges, target, key), max_cpu_seconds=8)
    yield await target.under(f"{WAITS} waits", functools.partial(_waits, target, key), max_cpu_seconds=8)


async def _many(target: Target, method: str, path: str, headers: Mapping[str, str], body: bytes, count: int) -> str:
    found = []
    for _ in range(0, count, AT_ONCE):
        asked = (request(target.pair, method, path, headers, body) for _ in range(min(count, AT_ONCE)))
        found += await asyncio.gather(*asked)
    return counted(found)


async def _ranges(target: Target, key: Mapping[str, str]) -> str:
    """Ask for one byte of a file of some MiB, over and over."""
    name = (await _asset(target, key, bytes(FORM_BYTES)))["name"]
    return await _many(target, "GET", f"/{name}/content", {**key, "Range": "bytes=1000000-1000000"}, b"", RANGES)


async def _asset(target: Target, key: Mapping[str, str], data: bytes) -> dict[str, str]:
    headers = {**key, "Content-Length": str(len(data)), "Connection": "close"}
    async with connection(target.pair) as (reader, writer):
        writer.write(head("PUT", "/assets", headers) + data)
        answer: dict[str, str] = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        return answer


async def _waits(target: Target, key: Mapping[str, str]) -> str:
    """Wait for a job whose input comes from nowhere, in many requests at once, and leave."""
    body = json.dumps({"caption": {"url_video": "http://192.0.2.1/a", "url_srt": "http://192.0.2.1/b"}}).encode()
    told = {**key, "Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    async with connection(target.pair) as (reader, writer):
        writer.write(head("POST", "/jobs", told) + body)
        job = json.loads((await reader.read()).partition(b"\r\n\r\n")[2]).get("id", "")
    waiting = {**key, "Prefer": f"wait={WAIT_SECONDS}"}
    return counted(await asyncio.gather(*(_wait(target, f"/job/{job}", waiting) for _ in range(WAITS))))


async def _wait(target: Target, path: str, headers: Mapping[str, str]) -> str:
    async with connection(target.pair) as (reader, writer):
        writer.write(head("GET", path, headers))
        return await status(reader, WAIT_SECONDS + 10)
