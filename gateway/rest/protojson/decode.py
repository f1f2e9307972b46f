"""JSON to messages, by protobuf's JSON mapping; stricter than most: an unknown field is an error, with its name.

And more lenient where no meaning is lost, as tools that fill in forms send their values: "" for what was left empty,
one value where a list is meant, and what `scalars` takes. Every error is an InvalidArgument that names the places:
"images[1].duracao must be a number".
"""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.rest.protojson import scalars
from gateway.rest.protojson.encode import OWN_FORM, WRAPPERS
from servicekit.echo import brief
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults

MAX_DEPTH = 64
# The descriptors of protobuf's C implementation have no public type.
Descriptor = Any
Method = Any
Field = Any
_NULL_IS_A_VALUE = ("google.protobuf.Value", scalars.NULL_VALUE)
_UNQUOTE = "must be a list, and is a text with one in it; send it without the quotes around it"
_EMPTY_IS_A_VALUE = frozenset(f"google.protobuf.{name}" for name in ("Value", "StringValue", "BytesValue", "FieldMask"))


def is_bytes(field: Field | None) -> bool:
    """Return True for a single bytes field: a body that passes untouched."""
    return field is not None and field.type == field.TYPE_BYTES and not field.is_repeated


def fields_on(descriptor: Descriptor, path: str) -> list[Field]:
    """Return the fields along a dotted path of proto or JSON names, from the outermost; empty for an unknown path.

    A message with a JSON form of its own is given in that form, and has no fields here.
    """
    chain: list[Field] = []
    for name in path.split("."):
        field = field_named(descriptor, name) if descriptor is not None else None
        if field is None:
            return []
        chain.append(field)
        kind = field.message_type
        descriptor = None if field.is_repeated or kind is None or kind.full_name in OWN_FORM else kind
    return chain


def field_named(descriptor: Descriptor, name: str) -> Field | None:
    """Return the message's field of this proto or JSON name, if any."""
    found = descriptor.fields_by_name.get(name)
    return found or next((field for field in descriptor.fields if field.json_name == name), None)


def merge(message: Message, value: Any, where: str = "", depth: int = 0) -> None:
    """Set the fields of the message from a JSON value; `where` is the path of the message in the body."""
    descriptor = message.DESCRIPTOR
    if descriptor.full_name in OWN_FORM:
        _merge_own_form(message, value, where)
        return
    if not isinstance(value, dict):
        raise _wrong(where or "The body", "must be an object")
    if depth > MAX_DEPTH:
        raise _wrong(where, "is nested too deep")
    paths: dict[str, str] = {}
    faults: Faults | None = None
    for name, element in value.items():
        try:
            path = f"{where}.{brief(name)}" if where else brief(name)
            field = field_named(descriptor, name)
            if field is None:
                raise unknown_name("field", path, [known.json_name for known in descriptor.fields])
            if _is_unset(field, element):
                continue
            # A field, or a oneof, may be set once: by one name, as one of its members.
            slot = field.containing_oneof.name if field.containing_oneof else field.name
            if paths.setdefault(slot, path) != path:
                raise given_twice(path, paths[slot])
            _set(message, field, element, path, depth)
        except InvalidArgument as error:
            faults = _gathered(faults, error)
    if faults is not None:
        faults.check()


def _gathered(faults: Faults | None, error: InvalidArgument) -> Faults:
    """Return the faults of a body with one more. Raises an error for all of them where it holds no more."""
    faults = faults or Faults()
    faults.add(error)
    if faults.is_full:
        faults.check()
    return faults


def _is_unset(field: Field, value: Any) -> bool:
    """Return True for a null or an empty text that leaves the field unset; for some fields they are values."""
    if isinstance(value, str):
        return not value.strip() and not _takes_empty_text(field)
    kind = field.message_type or field.enum_type
    return value is None and (field.is_repeated or kind is None or kind.full_name not in _NULL_IS_A_VALUE)


def _takes_empty_text(field: Field) -> bool:
    if field.is_repeated:
        return False
    if field.message_type is not None:
        return field.message_type.full_name in _EMPTY_IS_A_VALUE
    return field.type in (field.TYPE_STRING, field.TYPE_BYTES)


def set_field(message: Message, field: Field, value: Any, where: str, depth: int = 0) -> None:
    """Set one field of the message from a JSON value; null, or an empty text where none is meant, leaves it unset."""
    if not _is_unset(field, value):
        _set(message, field, value, where, depth)


def _set(message: Message, field: Field, value: Any, where: str, depth: int) -> None:
    if _is_map(field):
        _set_map(message, field, value, where, depth)
    elif field.is_repeated:
        _set_list(message, field, value, where, depth)
    elif field.message_type is not None:
        child = getattr(message, field.name)
        child.SetInParent()
        merge(child, value, where, depth + 1)
    else:
        setattr(message, field.name, _converted(scalars.of_json, field, value, where))


def _is_map(field: Field) -> bool:
    return bool(field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry)


def _set_list(message: Message, field: Field, value: Any, where: str, depth: int) -> None:
    if not isinstance(value, list):
        if not _can_stand_alone(field, value):
            raise _wrong(where, _UNQUOTE if isinstance(value, str) and value.lstrip()[:1] == "[" else "must be a list")
        value = [value]
    elements = getattr(message, field.name)
    faults: Faults | None = None
    for index, element in enumerate(value):
        path = f"{where}[{index}]"
        try:
            if field.message_type is not None:
                merge(elements.add(), element, path, depth + 1)
            else:
                elements.append(_converted(scalars.of_json, field, element, path))
        except InvalidArgument as error:
            faults = _gathered(faults, error)
    if faults is not None:
        faults.check()


def _can_stand_alone(field: Field, value: Any) -> bool:
    """Return True for a value that is of the kind of a list's elements, and so stands for a list of one."""
    is_object = field.message_type is not None and field.message_type.full_name not in OWN_FORM
    return isinstance(value, dict) == is_object


def _set_map(message: Message, field: Field, value: Any, where: str, depth: int) -> None:
    if not isinstance(value, dict):
        raise _wrong(where, "must be an object")
    key_field, value_field = (field.message_type.fields_by_name[name] for name in ("key", "value"))
    entries = getattr(message, field.name)
    for name, element in value.items():
        path = f"{where}.{brief(name)}"
        key = _converted(scalars.of_key, key_field, name, path)
        if key in entries:  # "1" and "01"
            raise _wrong(path, "is there already, in other words")
        if value_field.message_type is not None:
            merge(entries[key], element, path, depth + 1)
        else:
            entries[key] = _converted(scalars.of_json, value_field, element, path)


def _merge_own_form(message: Message, value: Any, where: str) -> None:
    if message.DESCRIPTOR.full_name in WRAPPERS:
        field = message.DESCRIPTOR.fields_by_name["value"]
        message.value = _converted(scalars.of_json, field, value, where)  # type: ignore[attr-defined]
        return
    try:
        json_format.ParseDict(value, message)
    # The texts of its errors name Python's types, and some of Python's own errors pass through it.
    except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _wrong(where, f"is no {message.DESCRIPTOR.name} in protobuf's JSON form") from error


def set_parameter(message: Message, path: str, texts: Sequence[str]) -> None:
    """Set the field at a dotted path from the texts of a query; an empty one counts as not given where no
    text is meant. Raises what `set_text` does."""
    chain = fields_on(message.DESCRIPTOR, path)
    given = [text for text in texts if not chain or not _is_unset(chain[-1], text)]
    if given:
        set_text(message, path, given)


def set_text(message: Message, path: str, texts: Sequence[str]) -> None:
    """Set the field at a dotted path of proto or JSON names from the texts of a path or a query.

    Raises InvalidArgument for an unknown path, a wrong text, several texts for a field that takes one, or a member of a
    oneof that has another one.
    """
    chain = fields_on(message.DESCRIPTOR, path)
    if not chain:
        raise unknown_name("query parameter", path, [known.json_name for known in message.DESCRIPTOR.fields])
    if len(chain) > MAX_DEPTH:
        raise _wrong(path, "is nested too deep")
    for parent in chain[:-1]:
        _check_oneof(message, parent, path)
        message = getattr(message, parent.name)
    field = chain[-1]
    _check_oneof(message, field, path)
    if len(texts) > 1 and not field.is_repeated:
        raise _wrong(path, "can be given once")
    if field.message_type is not None and (_is_map(field) or field.message_type.full_name not in OWN_FORM):
        raise _wrong(path, _how_to_give(field))
    for text in texts:
        _set_one_text(message, field, text, path)


def _set_one_text(message: Message, field: Field, text: str, path: str) -> None:
    value = getattr(message, field.name)
    if field.message_type is not None:
        child = value.add() if field.is_repeated else value
        child.SetInParent()
        _merge_own_text(child, text, path)
    elif field.is_repeated:
        value.append(_converted(scalars.of_text, field, text, path))
    else:
        setattr(message, field.name, _converted(scalars.of_text, field, text, path))


def _merge_own_text(message: Message, text: str, where: str) -> None:
    if message.DESCRIPTOR.full_name in WRAPPERS:
        field = message.DESCRIPTOR.fields_by_name["value"]
        message.value = _converted(scalars.of_text, field, text, where)  # type: ignore[attr-defined]
    else:
        _merge_own_form(message, text, where)


def _check_oneof(message: Message, field: Field, path: str) -> None:
    """Raise InvalidArgument if the field's oneof has another member already, which setting the field would clear."""
    there = message.WhichOneof(field.containing_oneof.name) if field.containing_oneof else None
    if there not in (None, field.name):
        raise given_twice(path, there)


def _how_to_give(field: Field) -> str:
    """Return how to give a message that has no form as text."""
    inner = field.message_type.fields
    if field.is_repeated or not inner:
        return "cannot be given as text"
    return f"is a message; give its fields, like {field.json_name}.{inner[0].json_name}"


def unknown_name(what: str, name: str, known: Sequence[str]) -> InvalidArgument:
    """Return the error of a field or parameter that does not exist; it suggests the nearest known name."""
    name = brief(name)
    near = difflib.get_close_matches(name.rpartition(".")[2], known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known) or 'none'}."
    return InvalidArgument(f'Unknown {what} "{name}"; {hint}', reason="UNKNOWN_FIELD", fields={name: f"unknown {what}"})


def given_twice(where: str, other: str) -> InvalidArgument:
    """Return the error of a field, or of a member of a oneof, that `other` excludes."""
    return _wrong(where, f"cannot be given together with {other}")


def _wrong(where: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{where} {text}", reason="BAD_FIELD", fields={where: text})


def _converted(convert: Callable[[Field, Any], Any], field: Field, value: Any, where: str) -> Any:
    """Convert a value for a field that is no message. Raises InvalidArgument that names the place."""
    try:
        return convert(field, value)
    except ValueError as error:  # whose text completes "<field> …": "must be a string"
        raise _wrong(where, str(error)) from error
