"""Dataclasses as JSON: stored records, and messages between the processes of one service.

Data of another version is read as far as it can be: fields that a dataclass does not have are dropped, at every depth,
and missing ones take their defaults. A field whose name in JSON differs from its own has `metadata={STORED: name}`; one
with `metadata=SPARSE` is left out where it has its default.
"""

import base64
import dataclasses
import functools
import json
import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from fractions import Fraction
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, RootModel, ValidationError

# The key under which pydantic looks for it.
STORED = "alias"
SPARSE = {"sparse": True}

# Equal to no value: what is not sparse is always written.
ALWAYS = object()

T = TypeVar("T")


# Parts of values that are kept as text: of a record that is written anew each time that one of its parts changes.
MAX_KNOWN_PARTS = 8192
MAX_KNOWN_CHARS = 16 * 1024 * 1024


def to_json(value: object) -> bytes:
    """Return compact JSON: bytes as base64, times in ISO 8601, fractions as "30000/1001", enums by their values."""
    if not dataclasses.is_dataclass(value):
        return _dumps(value).encode()
    fields = (f"{_dumps(name)}:{_text(part)}" for name, part in _plain(value).items())
    return f"{{{','.join(fields)}}}".encode()


def _text(part: object) -> str:
    """Return the JSON of a field. The elements of a tuple are frozen, and most are those of the last time."""
    if isinstance(part, tuple) and part and dataclasses.is_dataclass(part[0]):
        return f"[{','.join(map(_KNOWN.text, part))}]"
    return _dumps(part)


def _dumps(value: object) -> str:
    return json.dumps(value, default=_plain, separators=(",", ":"))


class _KnownParts:
    """The JSON of values that do not change, by identity; all are forgotten once there are too many, or too long."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, str]] = {}
        self._chars = 0

    def text(self, value: object) -> str:
        """Return the JSON of a frozen dataclass."""
        known = self._known.get(id(value))
        if known is None:
            text = _dumps(value)
            self._chars += len(text)
            if len(self._known) >= MAX_KNOWN_PARTS or self._chars > MAX_KNOWN_CHARS:
                self._known.clear()
                self._chars = len(text)
            known = self._known[id(value)] = value, text
        return known[1]


_KNOWN = _KnownParts()


def from_json(kind: type[T], data: bytes) -> T:
    """Return the value of that type, a dataclass or `dict[str, …]`. Raise ValueError if the data does not fit it."""
    try:
        hashable: Any = kind
        return cast(T, _model(hashable).model_validate_json(data).root)
    except ValidationError as error:
        # Neither its place nor its text quotes a value: records hold keys and signed URLs.
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"the data is no {kind.__name__}: {place}: {first['msg']}") from error


def make_ready(*kinds: type) -> None:
    """Make ready to read these types, which takes milliseconds for each: before a process is forked that reads them."""
    for kind in kinds:
        _model(kind)


class _Data(RootModel[T]):
    """A value as JSON has it; pydantic takes the names of fields from `metadata`."""

    model_config = ConfigDict(strict=True, val_json_bytes="base64", hide_input_in_errors=True)


@functools.cache
def _model(kind: Hashable) -> Any:
    """Return what reads a type. It is kept: pydantic forgets one that nobody holds, and takes milliseconds to make
    it anew."""
    return _Data[kind]  # type: ignore[valid-type]


def _plain(value: Any) -> Any:
    """Return a value that JSON has no form for as one of those that it has, its parts left as they are."""
    if dataclasses.is_dataclass(value):
        read, names, absent = _fields(type(value))  # type: ignore[arg-type]
        parts = zip(names, read(value), absent, strict=True)
        return {name: part for name, part, without in parts if part is not without and part != without}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Fraction):  # of the rates in what the encoder asks of its NVENC worker
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


@functools.cache
def _fields(kind: Any) -> tuple[Callable[[Any], Iterable[Any]], Sequence[str], Sequence[object]]:
    """Return what reads all fields of a dataclass, their stored names, and the values for which they are left out."""
    fields = dataclasses.fields(kind)
    names = [field.metadata.get(STORED, field.name) for field in fields]
    absent = [_default(field) if "sparse" in field.metadata else ALWAYS for field in fields]
    if len(fields) > 1:
        return operator.attrgetter(*(field.name for field in fields)), names, absent
    return lambda value: [getattr(value, field.name) for field in fields], names, absent


def _default(field: "dataclasses.Field[Any]") -> object:
    """Return the default of a field, be it one that is made."""
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()
