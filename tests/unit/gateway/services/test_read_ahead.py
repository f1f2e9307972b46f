"""Reading ahead: the next message is read while one is worked on, and nothing is left behind."""

import asyncio
from contextlib import aclosing

import pytest

from gateway.services.transferring import read_ahead
from servicekit.errors import Unavailable
from tests.support.until import until


class Messages:
    """Gives numbers, and then fails or waits for ever; notes how many it gave and whether its reader went away."""

    def __init__(self, count, error=None):
        self.given, self.is_left, self._count, self._error = 0, False, count, error

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.given < self._count:
            self.given += 1
            return self.given
        if self._error is not None:
            raise self._error
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.is_left = True
            raise


async def test_one_message_is_read_while_another_is_worked_on_and_no_more():
    messages = Messages(5)
    async with aclosing(read_ahead(messages)) as parts:
        assert await anext(parts) == 1
        await until(lambda: messages.given == 2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert messages.given == 2


async def taken(messages, work):
    async with aclosing(read_ahead(messages)) as parts:
        async for part in parts:
            await asyncio.sleep(0)
            work(part)


async def test_what_is_awaited_ends_with_the_work():
    def fail(_):
        raise RuntimeError

    messages = Messages(1)
    with pytest.raises(RuntimeError):
        await taken(messages, fail)
    assert messages.is_left


async def test_an_error_comes_after_the_messages_before_it():
    found = []
    with pytest.raises(Unavailable):
        await taken(Messages(3, Unavailable("gone")), found.append)
    assert found == [1, 2, 3]
