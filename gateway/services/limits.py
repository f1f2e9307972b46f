"""Limits of tenants and keys, as callers give them."""

import math
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from servicekit.errors import InvalidArgument


def given_numbers(request: Message, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of these names that a request gives. Raises InvalidArgument for what is no number from 0."""
    given = {field.name for field, _ in request.ListFields()}
    return {name: _checked(name, getattr(request, name)) for name in names if name in given}


def _checked(name: str, value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise InvalidArgument.field(name, f"is {value:g}; give 0 for no limit, or more.")
    return value
