"""Tasks end with whoever began them."""

import asyncio
from typing import Any


async def ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks, and wait until each has cleared up after itself. What they raise is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
