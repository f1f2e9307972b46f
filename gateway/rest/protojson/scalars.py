"""Scalar values of protobuf fields from JSON and from text (path, query).

Raises ValueError whose text completes "<field> …": "must be a string".
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from servicekit import enums

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_LIMITS: dict[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def from_json(field: Any, value: Any) -> Any:
    """Convert a JSON value for a field that is no message; for a repeated field, one element."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(value)
    return _CONVERTERS[field.cpp_type](field, value)


def from_text(field: Any, text: str) -> Any:
    """Convert the text of a path segment or a query parameter for the field."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        if text not in _BOOLEANS:
            raise ValueError("must be true or false")
        return _BOOLEANS[text]
    return from_json(field, text)


def _integer(field: Any, value: Any) -> int:
    low, high = _LIMITS[field.cpp_type]
    if (isinstance(value, str) and _INTEGER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be an integer")  # noqa: TRY004 - one kind of error for every wrong value
    if not low <= value <= high:
        raise ValueError(f"must be from {low} to {high}")
    return value


def _float(field: Any, value: Any) -> float:
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        value = float(value) if _NUMBER.fullmatch(value) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004
    try:
        number = float(value)
        if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
            struct.pack("f", number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("is too large")
    return number


def _bool(_: Any, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004
    return value


def _string(_: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode; it has half of a surrogate pair") from error
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be a string of base64")  # noqa: TRY004
    standard = value.replace("-", "+").replace("_", "/")
    if not _BASE64.fullmatch(standard):
        raise ValueError("must be base64")
    bare = standard.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error as error:
        raise ValueError("must be base64") from error


def _enum(field: Any, value: Any) -> int:
    enum = field.enum_type
    named = enums.number_of(enum, value) if isinstance(value, str) else None
    if named is not None:
        return named
    number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or number not in enum.values_by_number:
        raise ValueError(f"must be one of {', '.join(enums.short_names(enum))}")
    return number


_CONVERTERS: dict[int, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_LIMITS, _integer),
    FieldDescriptor.CPPTYPE_FLOAT: _float,
    FieldDescriptor.CPPTYPE_DOUBLE: _float,
    FieldDescriptor.CPPTYPE_BOOL: _bool,
    FieldDescriptor.CPPTYPE_STRING: _string,
    FieldDescriptor.CPPTYPE_ENUM: _enum,
}
