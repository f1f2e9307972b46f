"""Messages to JSON, by protobuf's JSON mapping with the differences that the JSON surface promises.

64-bit integers are numbers, fields without presence are always present, keys are in the order of the message, times
have at least milliseconds. Source: protobuf.dev/programming-guides/json.
"""

import base64
import functools
import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any

from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from apigpu.v1 import options_pb2
from gateway.rest.protojson.scalars import NULL_VALUE

_WHOLE_SECOND = re.compile(r"(:\d\d)Z$")
# Messages of one field, `value`, whose JSON form is that value's.
WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Bool", "Bytes", "Double", "Float", "String", "Int32", "Int64", "UInt32", "UInt64")
)
# Messages of google.protobuf that have a JSON form of their own.
OWN_FORM = WRAPPERS | {
    f"google.protobuf.{name}" for name in ("Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp", "Value")
}


def dumps(value: Any) -> bytes:
    """Return the JSON text of a value: UTF-8, without spaces."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def to_json(message: Message, *, as_given: bool = False) -> Any:
    """Return the message as a JSON value: a dict, except for messages of google.protobuf with their own form. It has
    only what is set where it is written `as_given`."""
    name = message.DESCRIPTOR.full_name
    if name in WRAPPERS:
        return field_json(message, message.DESCRIPTOR.fields_by_name["value"])
    if name in OWN_FORM:
        return SPECIAL[name](message) if name in SPECIAL else json_format.MessageToDict(message)
    if as_given or is_as_given(message.DESCRIPTOR):
        return {field.json_name: field_json(message, field, as_given=True) for field, _ in message.ListFields()}
    return {
        field.json_name: field_json(message, field)
        for field in message.DESCRIPTOR.fields
        if _is_present(message, field)
    }


@functools.cache
def is_as_given(descriptor: Any) -> bool:
    """Return True for a message that is written with what is set alone."""
    return bool(descriptor.GetOptions().Extensions[options_pb2.rules].as_given)


def _is_present(message: Message, field: Any) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name)) or not field.GetOptions().Extensions[options_pb2.field].sparse


def field_json(message: Message, field: Any, *, as_given: bool = False) -> Any:
    """Return one field of the message as a JSON value: its default where it is not given, null where it is absent."""
    if field.has_presence and not message.HasField(field.name):
        return None
    value = getattr(message, field.name)
    if not field.is_repeated:
        return _single(field, value, as_given=as_given)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        of = field.message_type.fields_by_name["value"]
        return {_key(key): _single(of, value[key], as_given=as_given) for key in value}
    return [_single(field, element, as_given=as_given) for element in value]


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _single(field: Any, value: Any, *, as_given: bool) -> Any:
    if field.message_type is not None:
        return to_json(value, as_given=as_given)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(value).decode()
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    return _float(field, value) if isinstance(value, float) else value


def _enum(enum: Any, value: int) -> Any:
    if enum.full_name == NULL_VALUE:
        return None
    known = enum.values_by_number.get(value)
    return known.name if known else value


def _float(field: Any, value: float) -> Any:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return _shortest(value) if field.type == FieldDescriptor.TYPE_FLOAT else value


def _shortest(value: float) -> float:
    """Return the number of fewest digits that is `value` as a float of 32 bits: 0.1 for 0.10000000149011612."""
    packed = struct.pack("<f", value)
    texts = (f"{value:.{digits}g}" for digits in (6, 7, 8))
    return next((float(text) for text in texts if struct.pack("<f", float(text)) == packed), float(f"{value:.9g}"))


def _any(message: any_pb2.Any) -> Any:
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(message.TypeName())
        inner = message_factory.GetMessageClass(found).FromString(message.value)
    except (KeyError, DecodeError):
        return {"@type": message.type_url, "value": base64.b64encode(message.value).decode()}
    value = to_json(inner)
    return {"@type": message.type_url, **({"value": value} if found.full_name in OWN_FORM else value)}


def _timestamp(message: Any) -> str:
    return _WHOLE_SECOND.sub(r"\1.000Z", message.ToJsonString())


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Timestamp": _timestamp,
}
