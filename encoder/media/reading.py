"""Which input is being read: so that one that is too much for the process that reads it can be named when that process
is gone. A process plans one task."""

from collections.abc import Callable

_listeners: list[Callable[[str], None]] = []


def on_reading(listener: Callable[[str], None]) -> None:
    """Call `listener` with the field of each input from now on, before it is read."""
    _listeners[:] = [listener]


def note_reading(field: str) -> None:
    """Tell that the input of a field is about to be read."""
    for listener in _listeners:
        listener(field)
