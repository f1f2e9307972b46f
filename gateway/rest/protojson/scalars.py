"""JSON values, and the texts of paths and queries, as values of fields that are no messages.

What tools for automation send is taken where it can mean one thing: a number for a text, a number or a flag in quotes
and with blanks around, "yes" and 1 for true. What would be lost is refused.

A ValueError completes the sentence "<field> …": "must be a string".
"""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from servicekit import enums

# The descriptors of protobuf's C implementation have no public type.
Field = Any
NULL_VALUE = "google.protobuf.NullValue"
LIMITS: dict[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Below it a float is the integer that was written; from there on it may stand for its neighbor.
_EXACT = 2**53
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NUMBER_CHARACTERS = 100
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TRUE, _FALSE = ("true", "1", "yes", "on", "t", "y"), ("false", "0", "no", "off", "f", "n")
_BOOLEANS = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
# A number with a comma, as half of the world writes it; elsewhere it would be a thousand times as much.
_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
_KEYS = ("true", "false")


def of_json(field: Field, value: Any) -> Any:
    """Convert a JSON value; for a repeated field, one element. Raises ValueError."""
    return _bytes(value) if field.type == FieldDescriptor.TYPE_BYTES else _CONVERTERS[field.cpp_type](field, value)


def of_text(field: Field, text: str) -> Any:
    """Convert the text of a path segment or a query parameter. Raises ValueError."""
    return of_json(field, text)


def of_key(field: Field, text: str) -> Any:
    """Convert the name of an entry of a map. Raises ValueError."""
    if field.type == FieldDescriptor.TYPE_BOOL and text not in _KEYS:
        raise ValueError("must be true or false")
    return of_json(field, text)


def _integer(field: Field, value: Any) -> int:
    low, high = LIMITS[field.cpp_type]
    number = _parsed_integer(value.strip()) if isinstance(value, str) else value
    if isinstance(number, float):
        if abs(number) >= _EXACT:
            raise ValueError("must be an integer in digits, without fraction and exponent, where it is that large")
        number = int(number) if number.is_integer() else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError("must be an integer")  # noqa: TRY004 - one kind of error for every wrong value
    if not low <= number <= high:
        raise ValueError(f"must be from {low} to {high}")
    return number


def _parsed_integer(text: str) -> int | None:
    """Return the integer that a text stands for ("5", "5.0", "5e3"); None for none."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if len(text) > _NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    if number.adjusted() > _NUMBER_CHARACTERS:  # before it becomes an int of so many digits
        raise ValueError("is too large")
    return int(number) if number == number.to_integral_value() else None


def _float(field: Field, value: Any) -> float:
    if isinstance(value, str):
        value = value.strip()
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if _COMMA.fullmatch(value):
            raise ValueError("must be a number, with a point in place of the comma")
        value = float(value) if _NUMBER.fullmatch(value) else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004
    try:
        number = float(value)
        if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
            struct.pack("<f", number)  # without "<" it makes infinity of a larger one
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("is too large")
    return number


def _bool(_: Any, value: Any) -> bool:
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    named = _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None
    if named is None:
        raise ValueError("must be true or false")
    return named


def _string(_: Any, value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and abs(value) < math.inf:  # which takes integers of any size
        return _digits(value)
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode; it has half of a surrogate pair") from error
    return value


def _digits(value: float) -> str:
    """Return a number as JavaScript writes it: 1 for 1.0."""
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    return str(int(value)) if is_whole else str(value)


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


def _enum(field: Field, value: Any) -> int:
    enum = field.enum_type
    if value is None and enum.full_name == NULL_VALUE:
        return 0
    named = enums.number_of(enum, value) if isinstance(value, str) else None
    if named is not None:
        return named
    number = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value.strip()) else value
    if not isinstance(number, int) or isinstance(number, bool) or not _can_be(enum, number):
        raise ValueError(f"must be one of {', '.join(enums.short_names(enum))}")
    return number


def _can_be(enum: Any, number: int) -> bool:
    """Return True for a value of the enum, and for one of later versions where the enum is open to such."""
    low, high = LIMITS[FieldDescriptor.CPPTYPE_INT32]
    return low <= number <= high and (not enum.is_closed or number in enum.values_by_number)


_CONVERTERS: dict[int, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(LIMITS, _integer),
    FieldDescriptor.CPPTYPE_FLOAT: _float,
    FieldDescriptor.CPPTYPE_DOUBLE: _float,
    FieldDescriptor.CPPTYPE_BOOL: _bool,
    FieldDescriptor.CPPTYPE_STRING: _string,
    FieldDescriptor.CPPTYPE_ENUM: _enum,
}
