"""JSON to messages, by protobuf's JSON mapping; stricter than most: an unknown field is an error, with its name.

Every error is an InvalidArgument that names the place: "images[1].duracao must be a number".
"""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.rest.protojson import scalars
from gateway.rest.protojson.encode import OWN_FORM
from servicekit.errors import InvalidArgument

MAX_DEPTH = 64
# The descriptors of protobuf's C implementation have no public type.
Descriptor = Any
Method = Any
Field = Any
_NULL_IS_A_VALUE = ("google.protobuf.Value", "google.protobuf.NullValue")


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


def loads(body: bytes) -> Any:
    """Parse the JSON of a body. Raises InvalidArgument that names line and column."""
    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"The body is not UTF-8: byte {error.start} is wrong.", reason="BAD_JSON") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidArgument(f"The body is not valid JSON: {error.msg} at {place}.", reason="BAD_JSON") from error
    except ValueError as error:  # raised by the hooks below, and for numbers of thousands of digits
        raise InvalidArgument(f"The body is not valid JSON: {error}.", reason="BAD_JSON") from error
    except RecursionError as error:
        raise InvalidArgument("The body is nested too deep.", reason="BAD_JSON") from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, element in pairs:
        if name in value:
            raise ValueError(f'the key "{name}" is there twice')
        value[name] = element
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f'{name} is no JSON number; write "{name}" in quotes')


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
        path = f"{where}.{name}" if where else name
        field = field_named(descriptor, name)
        if field is None:
            raise unknown_name("field", path, [known.json_name for known in descriptor.fields])
        # A field, or a oneof, may be set once: by one name, as one of its members.
        slot = field.containing_oneof.name if field.containing_oneof else field.name
        if element is not None and paths.setdefault(slot, path) != path:
            raise _wrong(path, f"cannot be given together with {paths[slot]}")
        set_field(message, field, element, path)


def set_field(message: Message, field: Any, value: Any, where: str) -> None:
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


def _set_list(message: Message, field: Any, value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise _wrong(where, "must be a list")
    elements = getattr(message, field.name)
    for index, element in enumerate(value):
        path = f"{where}[{index}]"
        if field.message_type is not None:
            merge(elements.add(), element, path)
        else:
            elements.append(_scalar(field, element, path))


def _set_map(message: Message, field: Any, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(where, "must be an object")
    key_field, value_field = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    entries = getattr(message, field.name)
    for name, element in value.items():
        path = f"{where}.{name}"
        key = _text(key_field, name, path)
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
        getattr(message, field.name).extend(_text(field, text, path) for text in texts)
        return
    if len(texts) > 1 or field.is_repeated:
        raise _wrong(path, "can be given once" if len(texts) > 1 else "cannot be given as text")
    if field.message_type is None:
        setattr(message, field.name, _text(field, texts[0], path))
    elif field.message_type.full_name in OWN_FORM:
        _merge_own_form(getattr(message, field.name), texts[0], path)
    else:
        raise _wrong(path, f"is a message; give its fields, like {path}.{field.message_type.fields[0].json_name}")


def _scalar(field: Any, value: Any, where: str) -> Any:
    try:
        return scalars.from_json(field, value)
    except ValueError as error:
        raise _wrong(where, str(error)) from error


def _text(field: Any, text: str, where: str) -> Any:
    try:
        return scalars.from_text(field, text)
    except ValueError as error:
        raise _wrong(where, str(error)) from error


def unknown_name(what: str, name: str, known: Sequence[str]) -> InvalidArgument:
    """Return the error of a field or parameter that does not exist; it suggests the nearest known name."""
    near = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}."
    return InvalidArgument(f'Unknown {what} "{name}"; {hint}', reason="UNKNOWN_FIELD", fields={name: f"unknown {what}"})


def _wrong(where: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{where} {text}", fields={where: text})
