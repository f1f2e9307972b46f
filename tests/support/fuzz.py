"""Properties that hold for any input. In the suite they are tried on a few inputs, the same ones each time; `make fuzz`
tries ever new ones, for FUZZ_SECONDS each.

    @fuzz(data=st.binary())
    def test_no_file_trips_the_reader(data):
        with bounded(len(data)):
            try: …
"""

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

T = TypeVar("T")

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
EXAMPLES = 30
BATCH = 300
BASE = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# Processor time that any input may take, and more for each byte: far above what linear work takes, and far below what
# an input of the sizes here takes that is quadratic.
BASE_SECONDS = 1.0
SECONDS_PER_BYTE = 20e-6
MAX_REPEATS = 5_000


def fuzz(examples: int = EXAMPLES, **strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Return a decorator that tries a test on values of the strategies; its further arguments are fixtures."""

    def decorate(test: Callable[..., None]) -> Any:
        few = settings(BASE, derandomize=True, max_examples=examples)
        once = (settings(BASE, max_examples=BATCH) if SECONDS else few)(given(**strategies)(test))

        @functools.wraps(once)
        def run(*args: Any, **fixtures: Any) -> None:
            end = time.monotonic() + SECONDS
            once(*args, **fixtures)
            while time.monotonic() < end:
                once(*args, **fixtures)

        return run

    return decorate


@contextlib.contextmanager
def bounded(size_bytes: int, clock: Callable[[], float] = time.thread_time) -> Iterator[None]:
    """Fail when the block takes more processor time than an input of this size may."""
    started = clock()
    yield
    taken, allowed = clock() - started, BASE_SECONDS + SECONDS_PER_BYTE * size_bytes
    assert taken < allowed, f"{size_bytes:,} bytes took {taken:.2f} s of the processor, {allowed:.2f} s are allowed"


def repeated(parts: st.SearchStrategy[str], most: int = MAX_REPEATS) -> st.SearchStrategy[str]:
    """Return texts in which a part stands many times in a row: what quadratic work is found by."""
    return st.builds(lambda before, part, count, after: before + part * count + after, *_around(parts, most))


def joined(parts: st.SearchStrategy[str], most: int = 40) -> st.SearchStrategy[str]:
    """Return texts of parts in any order, and such with a part many times in a row."""
    return st.lists(parts | repeated(parts, 50), max_size=most).map("".join) | repeated(parts)


def _around(parts: st.SearchStrategy[str], most: int) -> tuple[st.SearchStrategy[Any], ...]:
    return parts, parts, st.integers(1, most), parts


@contextlib.contextmanager
def in_loop(opened: AbstractAsyncContextManager[T]) -> Iterator[tuple[asyncio.Runner, T]]:
    """Open something in an event loop of its own; yield what runs coroutines there, and the thing."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        try:
            yield runner, runner.run(stack.enter_async_context(opened))
        finally:
            runner.run(stack.aclose())
