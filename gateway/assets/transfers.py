"""How many files may pass through the gateway at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from servicekit.errors import ResourceExhausted


class Transfers:
    """Uploads and downloads under way: by gRPC and by signed links, or by the links of tasks. Each holds a few chunks
    in memory."""

    def __init__(self, max_transfers: int) -> None:
        self.free = max_transfers

    @contextmanager
    def place(self) -> Iterator[None]:
        """One place, until the context ends. Raises ResourceExhausted (BUSY) at once when none is free."""
        if self.free == 0:
            raise ResourceExhausted("Too many uploads and downloads at once; try again in a moment.", reason="BUSY")
        self.free -= 1
        try:
            yield
        finally:
            self.free += 1
