"""Dataclasses as JSON: stored records, and messages between the processes of one service.

Data of another version is read as far as it can be: fields that a dataclass does not have are dropped, at every depth,
and missing ones take their defaults. A field whose name in JSON differs from its own has `metadata={STORED: name}`.
"""

import base64
import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from fractions import Fraction
from typing import Any, TypeVar

STORED = "stored"

T = TypeVar("T")
Convert = Callable[[Any], Any]


def to_json(value: object) -> bytes:
    """Return compact JSON: bytes as base64, times in ISO 8601, fractions as "30000/1001", enums by their values."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def from_json(kind: type[T], data: bytes) -> T:
    """Return the value of that type, a dataclass or `dict[str, …]`. Raise ValueError if the data does not fit it."""
    try:
        value: T = _reader(kind)(json.loads(data))  # type: ignore[arg-type]  # a type is hashable
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"the data is no {kind.__name__}: {error}") from error
    return value


def _plain(value: Any) -> Any:
    """Return a value that JSON has no form for as one of those that it has, its parts left as they are."""
    if dataclasses.is_dataclass(value):
        return {stored: getattr(value, name) for name, stored in _names(type(value))}  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


@functools.cache
def _names(kind: Any) -> tuple[tuple[str, str], ...]:
    """Return name and stored name of each field."""
    return tuple((field.name, field.metadata.get(STORED, field.name)) for field in dataclasses.fields(kind))


@functools.cache
def _reader(kind: Any) -> Convert:
    """Return what makes a value of that type from parsed JSON; it raises TypeError or ValueError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        return _tuple_reader(arguments)
    if origin in (dict, Mapping):
        read_part = _reader(arguments[1])
        return lambda value: {key: read_part(part) for key, part in _checked(dict, value).items()}
    if kind in _READERS:
        return _READERS[kind]
    return kind if issubclass(kind, Enum) else functools.partial(_checked, kind)


def _dataclass_reader(kind: Any) -> Convert:
    hints = typing.get_type_hints(kind)
    fields = [(name, stored, _reader(hints[name])) for name, stored in _names(kind)]

    def read(value: Any) -> Any:
        _checked(dict, value)
        return kind(**{name: read_field(value[stored]) for name, stored, read_field in fields if stored in value})

    return read


def _tuple_reader(arguments: tuple[Any, ...]) -> Convert:
    if arguments[-1] is Ellipsis:
        read = _reader(arguments[0])
        return lambda value: tuple(read(part) for part in _checked(list, value))
    readers = [_reader(argument) for argument in arguments]
    return lambda value: tuple(read(part) for read, part in zip(readers, _checked(list, value), strict=True))


def _checked(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where {kind.__name__} is expected")
    return value


_READERS: Mapping[Any, Convert] = {
    float: lambda value: float(value if isinstance(value, int) else _checked(float, value)),
    bytes: lambda value: base64.b64decode(_checked(str, value)),
    datetime: datetime.fromisoformat,
    Fraction: lambda value: Fraction(_checked(str, value)),
}
