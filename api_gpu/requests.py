"""Protobuf messages from the values of a caller, and dataclasses from messages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from apigpu.v1 import options_pb2
from apigpu.v1.caption_style_pb2 import CaptionWord
from servicekit.enums import number_of, short_names
from servicekit.errors import InvalidArgument
from servicekit.spoken_words import plain_words

if TYPE_CHECKING:
    from apigpu.options import Source

T = TypeVar("T")
ASSETS, STEP = "assets/", "step:"
# A file that stands in the text itself.
INLINE = "data:"
KINDS = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number, 0 or more",
}


def client_name(field: Any) -> str:
    """Return the name of a field in Python."""
    rules = field.GetOptions().Extensions[options_pb2.client]
    return str(rules.name or field.name.removeprefix("url_"))


def local_file(source: Source, folder: Path = Path()) -> Path | None:
    """Return the local file that a source names, by its path in a folder; None for a URL, a data: URI or an asset."""
    if isinstance(source, Path):
        return source
    # The ids of assets are random: a file of that name means the folder "assets" here.
    is_name = source.startswith((ASSETS, STEP)) and not os.path.exists(folder / source)
    if source.startswith(("http://", "https://", INLINE)) or is_name:
        return None
    return Path(source)


def sendable(name: str) -> str:
    """Return the name of a file as messages can have it: one that is no UTF-8 has marks in it that they refuse."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def stems(sources: Iterable[Source]) -> list[str]:
    """Return a name for every source: its stem, with -2, -3 … where it would repeat."""
    names: list[str] = []
    for source in sources:
        text = sendable(str(source))
        stem = "" if text.startswith(INLINE) else Path(text.partition("?")[0]).stem
        stem = stem or "image"
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names


@dataclass(frozen=True)
class RequestInput:
    """A field of a request that is still to be given the name of a source at the gateway, and its path."""

    message: Message
    field: str
    source: Source
    is_repeated: bool
    path: str

    def set(self, name: str) -> None:
        """Set the field to a URL or the name of an asset; inputs of a repeated field in their order."""
        if self.is_repeated:
            getattr(self.message, self.field).append(name)
        else:
            setattr(self.message, self.field, name)


def fill(message: Message, /, **values: Any) -> list[RequestInput]:
    """Set the fields of `message`, by their names in Python, but for inputs, which are returned; None is not given.

    A field of messages takes a dataclass or a mapping with the names of the message's fields, a repeated one an
    iterable of such. Raises InvalidArgument, which names the field, for an unknown name of an enum and a value of
    another kind.
    """
    inputs: list[RequestInput] = []
    _fill(message, values, "", inputs)
    return inputs


def _fill(message: Message, values: Mapping[str, Any], prefix: str, inputs: list[RequestInput]) -> None:
    # By those of the JSON surface too, as plans in files have them.
    known = message.DESCRIPTOR.fields
    by_name: dict[str, Any] = {name: field for field in known for name in (field.name, field.json_name)}
    by_name |= {client_name(field): field for field in known}
    for name, value in values.items():
        if value is None:
            continue
        if name not in by_name:
            raise InvalidArgument(f"{prefix}{name} is no option.", fields={prefix + name: "is no option"})
        field = by_name[name]
        if field.message_type is None:
            _set(message, field, value, prefix + name, inputs)
        elif field.is_repeated:
            if field.message_type is CaptionWord.DESCRIPTOR:
                value = _spoken(value, prefix + name)
            for index, element in enumerate(elements(value, prefix + name)):
                path = f"{prefix}{name}[{index}]"
                _fill(getattr(message, field.name).add(), _values(element, path), f"{path}.", inputs)
        else:
            getattr(message, field.name).SetInParent()
            _fill(getattr(message, field.name), _values(value, prefix + name), f"{prefix}{name}.", inputs)


def _spoken(value: Any, path: str) -> Any:
    """Return words, as speech recognizers write them too. Raises InvalidArgument."""
    try:
        return plain_words(value)
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}", fields={path: str(error)}) from error


def elements(value: Any, path: str) -> Iterable[Any]:
    """Return the elements of a list. Raises InvalidArgument for text, which would be taken letter by letter."""
    if isinstance(value, str | Path) or not isinstance(value, Iterable):
        raise _wrong(path, value, "a list, also where it is of one")
    return value


def _values(options: Any, path: str) -> Mapping[str, Any]:
    if isinstance(options, Mapping):
        return options
    if not is_dataclass(options):
        raise _wrong(path, options, "an object of options, or a mapping")
    return {field.name: getattr(options, field.name) for field in fields(options)}


def _wrong(path: str, value: Any, kind: str) -> InvalidArgument:
    return InvalidArgument(f"{path} is {value!r} and must be {kind}.", fields={path: f"must be {kind}"})


def _set(message: Message, field: FieldDescriptor, value: Any, path: str, inputs: list[RequestInput]) -> None:
    if field.GetOptions().Extensions[options_pb2.field].input:
        sources = list(elements(value, path)) if field.is_repeated else [value]
        for source in sources:
            if not isinstance(source, str | Path):
                raise _wrong(path, source, "a file, a URL or the name of an asset")
        paths = [f"{path}[{place}]" for place in range(len(sources))] if field.is_repeated else [path]
        for source, place in zip(sources, paths, strict=True):
            inputs.append(RequestInput(message, field.name, source, field.is_repeated, place))
        return
    if field.enum_type is not None:
        value = _number(field.enum_type, value, path)
    try:
        if field.is_repeated:
            getattr(message, field.name).extend(elements(value, path))
        else:
            setattr(message, field.name, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _wrong(path, value, KINDS[field.cpp_type]) from error


def _number(enum: Any, name: Any, path: str) -> int:
    number = number_of(enum, name) if isinstance(name, str) else None
    if number is None:
        text = f"must be one of {', '.join(short_names(enum))}"
        raise InvalidArgument(f"{path} is {name!r} and {text}.", fields={path: text})
    return number


def from_message(kind: type[T], message: Message, **values: Any) -> T:
    """Return a dataclass of the message's fields that have its names; `values` are those of the others."""
    names = (field.name for field in fields(kind) if field.name not in values)  # type: ignore[arg-type]
    return kind(**{name: getattr(message, name) for name in names}, **values)


def to_datetime(timestamp: Timestamp) -> datetime | None:
    """Return the time in UTC; None when it was not given."""
    return timestamp.ToDatetime(tzinfo=UTC) if timestamp.ByteSize() else None


def set_times(wanted: Any, since: datetime | None, until: datetime | None) -> None:
    """Bound a list in time."""
    if since is not None:
        wanted.created_after.FromDatetime(since)
    if until is not None:
        wanted.created_before.FromDatetime(until)


def to_plain(message: Message, *, as_given: bool = False) -> dict[str, Any]:
    """Return a message as the JSON surface has it: numbers are numbers, and what is not known is left out; `as_given`
    what is not set is too."""
    as_given = as_given or message.DESCRIPTOR.GetOptions().Extensions[options_pb2.rules].as_given
    plain: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if not message.HasField(field.name) if field.has_presence else as_given and not value:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            plain[field.json_name] = dict(value)
        elif field.is_repeated:
            plain[field.json_name] = [_plain(field, one, as_given=as_given) for one in value]
        else:
            plain[field.json_name] = _plain(field, value, as_given=as_given)
    return plain


def _plain(field: Any, value: Any, *, as_given: bool) -> Any:
    if field.message_type is not None:
        return to_plain(value, as_given=as_given)
    return field.enum_type.values_by_number[value].name if field.enum_type is not None else value
