"""Protobuf messages from what a caller gives: plain values, short names of enum values, dataclasses of options."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from servicekit.enums import number_of, short_names
from servicekit.errors import InvalidArgument

KINDS = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number, 0 or more",
}


def fill(message: Message, **given: Any) -> None:
    """Set the fields of `message` that are given; None is not given.

    A field of messages takes a dataclass whose fields have the names of the message's, a repeated one a sequence of
    such. Raises InvalidArgument, which names the field, for an unknown name of an enum and a value of another kind.
    """
    _fill(message, given, "")


def _fill(message: Message, given: Mapping[str, Any], prefix: str) -> None:
    for name, value in given.items():
        if value is None:
            continue
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.message_type is None:
            _set(message, field, value, prefix + name)
        elif field.is_repeated:
            for index, element in enumerate(value):
                _fill(getattr(message, name).add(), shallow(element), f"{prefix}{name}[{index}].")
        else:
            getattr(message, name).SetInParent()
            _fill(getattr(message, name), shallow(value), f"{prefix}{name}.")


def shallow(options: Any) -> dict[str, Any]:
    """The fields of a dataclass."""
    return {field.name: getattr(options, field.name) for field in fields(options)}


def _set(message: Message, field: Any, value: Any, path: str) -> None:
    if field.enum_type is not None:
        value = _number(field.enum_type, value, path)
    try:
        setattr(message, field.name, value)
    except (TypeError, ValueError) as error:
        kind = KINDS[field.cpp_type]
        raise InvalidArgument(f"{path} is {value!r} and must be {kind}.", fields={path: f"must be {kind}"}) from error


def _number(enum: Any, name: Any, path: str) -> int:
    number = number_of(enum, name) if isinstance(name, str) else None
    if number is None:
        text = f"must be one of {', '.join(short_names(enum))}"
        raise InvalidArgument(f"{path} is {name!r} and {text}.", fields={path: text})
    return number
