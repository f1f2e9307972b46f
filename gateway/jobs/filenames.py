"""Filenames of the assets that a job takes, read when it is submitted: an asset may be gone before its job."""

import asyncio
import contextlib
from collections.abc import Iterable

from gateway.assets.record import PREFIX, parse_name
from gateway.assets.store import AssetStore
from servicekit.errors import ServiceError

READS_AT_ONCE = 32
# Names are worth no more waiting than that.
MAX_SECONDS = 2.0
# Of all names of a job, which are in its record.
MAX_BYTES = 64 * 1024


async def read_filenames(assets: AssetStore, sources: Iterable[str], tenant: str) -> tuple[tuple[str, str], ...]:
    """Return asset and filename of those among the sources that are assets of the tenant; what cannot be read in time
    has no name."""
    names = dict.fromkeys((source for source in sources if source.startswith(PREFIX)), "")
    turns = asyncio.Semaphore(READS_AT_ONCE)

    async def read(name: str) -> None:
        async with turns:
            with contextlib.suppress(ServiceError):  # the attempt tells what is wrong with it
                names[name] = (await assets.find(parse_name(name), tenant)).filename

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MAX_SECONDS), asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(read(name))
    found, left_bytes = [], MAX_BYTES
    for name, filename in names.items():
        left_bytes -= len(filename.encode())
        if filename and left_bytes >= 0:
            found.append((name, filename))
    return tuple(found)
