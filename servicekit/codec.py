"""Dataclasses as JSON: stored records, and messages between the processes of one service.

Data of another version is read as far as it can be: fields that a dataclass does not have are dropped, at every depth,
and missing ones take their defaults. A field whose name in JSON differs from its own has `metadata={STORED: name}`; one
with `metadata=SPARSE` is left out where it has its default.
"""

import base64
import dataclasses
import functools
import json
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from fractions import Fraction
from typing import Any, TypeVar

from pydantic import ConfigDict, RootModel, ValidationError

# The key under which pydantic looks for it.
STORED = "alias"
SPARSE = {"sparse": True}

# Equal to no value: what is not sparse is always written.
ALWAYS = object()

T = TypeVar("T")


def to_json(value: object) -> bytes:
    """Return compact JSON: bytes as base64, times in ISO 8601, fractions as "30000/1001", enums by their values."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def from_json(kind: type[T], data: bytes) -> T:
    """Return the value of that type, a dataclass or `dict[str, …]`. Raise ValueError if the data does not fit it."""
    try:
        return _Data[kind].model_validate_json(data).root  # type: ignore[valid-type]
    except ValidationError as error:
        # Neither its place nor its text quotes a value: records hold keys and signed URLs.
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"the data is no {kind.__name__}: {place}: {first['msg']}") from error


class _Data(RootModel[T]):
    """A value as JSON has it; pydantic takes the names of fields from `metadata`."""

    model_config = ConfigDict(strict=True, val_json_bytes="base64", hide_input_in_errors=True)


def _plain(value: Any) -> Any:
    """Return a value that JSON has no form for as one of those that it has, its parts left as they are."""
    if dataclasses.is_dataclass(value):
        fields = ((stored, getattr(value, name), absent) for name, stored, absent in _fields(type(value)))  # type: ignore[arg-type]
        return {stored: part for stored, part, absent in fields if part != absent}
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
def _fields(kind: Any) -> tuple[tuple[str, str, object], ...]:
    """Return name and stored name of each field, and the value for which it is left out."""
    return tuple(
        (field.name, field.metadata.get(STORED, field.name), field.default if "sparse" in field.metadata else ALWAYS)
        for field in dataclasses.fields(kind)
    )
