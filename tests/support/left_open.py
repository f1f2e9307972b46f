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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    result = yield
    if not gc.get_freeze_count():
        pytest.fail(f"{item.nodeid} called gc.unfreeze(): every collection would go through all modules", pytrace=False)
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
