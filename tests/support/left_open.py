"""A pytest plugin that fails the very test which leaves a socket, a file or a coroutine open.

Python complains of these when they are collected, which without this happens during some later test.
"""

import gc
import sys
from collections.abc import Generator

import pytest


def pytest_collection_finish() -> None:
    """Leave what the modules hold out of all later collections of garbage, so that each takes a millisecond or two."""
    gc.collect()
    gc.freeze()
    gc.unfreeze = _refuse_to_unfreeze


def _refuse_to_unfreeze() -> None:
    raise RuntimeError("every collection after it, one for each test, would go through all modules")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    result = yield
    if left_open := _collect_garbage():
        pytest.fail(f"{item.nodeid} left open (-X tracemalloc=20 tells where):\n" + "\n".join(left_open), pytrace=False)
    if nextitem is None or nextitem.path != item.path:
        gc.freeze()  # modules that its tests imported, what they keep for good
    return result


def _collect_garbage() -> list[str]:
    """Return what the finalizers of the garbage complain of."""
    complaints: list[str] = []

    def note(unraisable: "sys.UnraisableHookArgs") -> None:
        complaints.append(f"{unraisable.err_msg or ''} {unraisable.object!r}: {unraisable.exc_value!r}".strip())

    previous, sys.unraisablehook = sys.unraisablehook, note
    try:
        gc.collect()
    finally:
        sys.unraisablehook = previous
    return complaints
