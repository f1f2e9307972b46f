"""Queries as long as a head may be: names without end, fields within fields, parameters by the thousand."""

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from attack.target import Row, Target
from attack.wire import counted, request

QUERY_BYTES = 60_000
PARAMETERS = 5_000
REQUESTS = 20
# The names that a query is made of; none of them is a parameter that is served.
QUERIES = {
    "one name": "x" * QUERY_BYTES + "=1",
    "a name of many parts": "status." * (QUERY_BYTES // 7) + "x=1",
    "escapes": "page_token=" + "%41" * (QUERY_BYTES // 3),
    "one parameter many times": "&".join(["page_size=1"] * PARAMETERS),
    "many parameters": "&".join(f"p{number}=1" for number in range(PARAMETERS)),
}


async def rows(target: Target, folder: Path) -> AsyncIterator[Row]:
    """Ask for a list of jobs by each query, with a right key."""
    for name, query in QUERIES.items():
        ask = functools.partial(_ask, target, f"/jobs?{query}")
        yield await target.under(f"{name}, {len(query) // 1024} KiB", ask, max_cpu_seconds=1)


async def _ask(target: Target, path: str) -> str:
    headers = {"X-API-Key": target.pair.key}
    return counted(await asyncio.gather(*(request(target.pair, "GET", path, headers) for _ in range(REQUESTS))))
