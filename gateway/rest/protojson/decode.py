"""JSON to messages, by protobuf's JSON mapping; stricter than most: an unknown field is an error, with its name.

Every error is an InvalidArgument that names the place: "images[1].duracao must be a number".
"""

import base64
import binascii
import difflib
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.rest.protojson.encode import OWN_FORM
from servicekit import enums
from servicekit.echo import brief
from servicekit.errors import InvalidArgument

MAX_DEPTH = 64
# The descriptors of protobuf's C implementation have no public type.
Descriptor = Any
Method = Any
Field = Any
_NULL_IS_A_VALUE = ("google.protobuf.Value", "google.protobuf.NullValue")
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


def is_bytes(field: Field | None) -> bool:
    """Return True for a single bytes field: a body that passes untouched."""
    return field is not None and field.type == field.TYPE_BYTES and not field.is_repeated


def fields_on(descriptor: Descriptor, path: str) -> list[Field]:
    """Return the fields along a dotted path of proto or JSON names, from the outermost; empty for an unknown path."""
    chain: list[Field] = []
    for name in path.split("."):
        field = field_named(descriptor, name) if descriptor is not None else None
        if field is None:
            return []
        chain.append(field)
        descriptor = None if field.is_repeated else field.message_type
    return chain


def field_named(descriptor: Descriptor, name: str) -> Field | None:
    """Return the message's field of this proto or JSON name, if any."""
    found = descriptor.fields_by_name.get(name)
    return found or next((field for field in descriptor.fields if field.json_name == name), None)


def merge(message: Message, value: Any, where: str = "") -> None:
    """Set the fields of the message from a JSON value; `where` is the path of the message in the body."""
    descriptor = message.DESCRIPTOR
    if descriptor.full_name in OWN_FORM:
        _merge_own_form(message, value, where)
        return
    if not isinstance(value, dict):
        raise _wrong(where or "The body", "must be an object")
    if where.count(".") > MAX_DEPTH:
        raise _wrong(where, "is nested too deep")
    paths: dict[str, str] = {}
    for name, element in value.items():
        path = f"{where}.{brief(name)}" if where else brief(name)
        field = field_named(descriptor, name)
        if field is None:
            raise unknown_name("field", path, [known.json_name for known in descriptor.fields])
        # A field, or a oneof, may be set once: by one name, as one of its members.
        slot = field.containing_oneof.name if field.containing_oneof else field.name
        if element is not None and paths.setdefault(slot, path) != path:
            raise _wrong(path, f"cannot be given together with {paths[slot]}")
        set_field(message, field, element, path)


def set_field(message: Message, field: Field, value: Any, where: str) -> None:
    """Set one field of the message from a JSON value; null leaves it unset."""
    kind = field.message_type or field.enum_type
    if value is None and (kind is None or kind.full_name not in _NULL_IS_A_VALUE):
        return
    if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(message, field, value, where)
    elif field.is_repeated:
        _set_list(message, field, value, where)
    elif field.message_type is not None:
        child = getattr(message, field.name)
        child.SetInParent()
        merge(child, value, where)
    else:
        setattr(message, field.name, _scalar(field, value, where))


def _set_list(message: Message, field: Field, value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise _wrong(where, "must be a list")
    elements = getattr(message, field.name)
    for index, element in enumerate(value):
        path = f"{where}[{index}]"
        if field.message_type is not None:
            merge(elements.add(), element, path)
        else:
            elements.append(_scalar(field, element, path))


def _set_map(message: Message, field: Field, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(where, "must be an object")
    key_field, value_field = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    entries = getattr(message, field.name)
    for name, element in value.items():
        path = f"{where}.{brief(name)}"
        key = _scalar_of_text(key_field, name, path)
        if value_field.message_type is not None:
            merge(entries[key], element, path)
        else:
            entries[key] = _scalar(value_field, element, path)


def _merge_own_form(message: Message, value: Any, where: str) -> None:
    try:
        json_format.ParseDict(value, message)
    # The texts of its errors name Python's types, and some of Python's own errors pass through it.
    except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _wrong(where, f"is no {message.DESCRIPTOR.name} in protobuf's JSON form") from error


def set_text(message: Message, path: str, texts: Sequence[str]) -> None:
    """Set the field at a dotted path of proto or JSON names from the texts of a path or a query.

    Raises InvalidArgument for an unknown path, a wrong text, or several texts for a field that takes one.
    """
    chain = fields_on(message.DESCRIPTOR, path)
    if not chain:
        raise unknown_name("query parameter", path, [known.json_name for known in message.DESCRIPTOR.fields])
    for parent in chain[:-1]:
        message = getattr(message, parent.name)
    field = chain[-1]
    if field.is_repeated and field.message_type is None:
        getattr(message, field.name).extend(_scalar_of_text(field, text, path) for text in texts)
        return
    if len(texts) > 1 or field.is_repeated:
        raise _wrong(path, "can be given once" if len(texts) > 1 else "cannot be given as text")
    if field.message_type is None:
        setattr(message, field.name, _scalar_of_text(field, texts[0], path))
    elif field.message_type.full_name in OWN_FORM:
        _merge_own_form(getattr(message, field.name), texts[0], path)
    else:
        raise _wrong(path, f"is a message; give its fields, like {path}.{field.message_type.fields[0].json_name}")


def unknown_name(what: str, name: str, known: Sequence[str]) -> InvalidArgument:
    """Return the error of a field or parameter that does not exist; it suggests the nearest known name."""
    name = brief(name)
    near = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}."
    return InvalidArgument(f'Unknown {what} "{name}"; {hint}', reason="UNKNOWN_FIELD", fields={name: f"unknown {what}"})


def _wrong(where: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{where} {text}", reason="BAD_FIELD", fields={where: text})


def _scalar(field: Field, value: Any, where: str) -> Any:
    """Convert a JSON value for a field that is no message; for a repeated field, one element."""
    try:
        return _bytes(value) if field.type == FieldDescriptor.TYPE_BYTES else _CONVERTERS[field.cpp_type](field, value)
    except ValueError as error:  # whose text completes "<field> …": "must be a string"
        raise _wrong(where, str(error)) from error


def _scalar_of_text(field: Field, text: str, where: str) -> Any:
    """Convert the text of a path segment or a query parameter for the field."""
    return _scalar(field, _BOOLEANS.get(text, text) if field.type == FieldDescriptor.TYPE_BOOL else text, where)


def _integer(field: Field, value: Any) -> int:
    low, high = _LIMITS[field.cpp_type]
    if (isinstance(value, str) and _INTEGER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be an integer")  # noqa: TRY004 - one kind of error for every wrong value
    if not low <= value <= high:
        raise ValueError(f"must be from {low} to {high}")
    return value


def _float(field: Field, value: Any) -> float:
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


def _enum(field: Field, value: Any) -> int:
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
