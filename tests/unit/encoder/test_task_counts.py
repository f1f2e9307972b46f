"""What an encoder counts of its tasks."""

import asyncio

import pytest

from apigpu.encoder.v1 import encoder_pb2
from encoder.tasks.metrics import TASKS, counted
from servicekit.errors import InvalidArgument

ENDS = [
    (InvalidArgument("It is wrong."), "INVALID_ARGUMENT"),
    (asyncio.CancelledError(), "CANCELLED"),
    (KeyError("of our own"), "INTERNAL"),
]


@pytest.mark.parametrize(("error", "code"), ENDS)
def test_a_task_is_counted_by_how_it_ends(error: BaseException, code: str) -> None:
    def count() -> float:
        samples = next(iter(TASKS.collect())).samples
        return sum(one.value for one in samples if one.labels == {"operation": "part", "code": code})

    before = count()
    with pytest.raises(type(error)), counted(encoder_pb2.Task(part=b"any")):
        raise error
    assert count() == before + 1
