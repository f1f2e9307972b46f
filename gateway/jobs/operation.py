"""The rules of an operation: only what the options in options.proto say of its message.

So a new operation needs no edit here: its fields are checked, its inputs found and its batch split by their options.
"""

import base64
import codecs
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message

from apigpu.v1 import options_pb2, video_pb2
from servicekit.errors import InvalidArgument

# The descriptors of protobuf's C implementation have no public type.
Field = Any
Descriptor = Any

KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields

# Name of a file that stands in a request as text: of all kinds only subtitles do.
TEXT_FILENAME = "subtitles.srt"

# Id of the only result of a batch operation that was asked for in its older form, without a batch.
OLDER_FORM_ID = "1"


def kind(operation: video_pb2.Operation) -> tuple[str, Message]:
    """Name of the operation and its message. Raises InvalidArgument when none is set."""
    name = operation.WhichOneof("kind")
    if name is None:
        known = ", ".join(field.name for field in KINDS)
        text = f"The operation is missing; give one of: {known}."
        raise InvalidArgument(text, reason="MISSING_FIELD", fields={"operation": "required"})
    return name, getattr(operation, name)


def is_known(operation: video_pb2.Operation) -> bool:
    """Return False for an operation that only a later version knows, or for none."""
    return operation.WhichOneof("kind") is not None


def wrap(message: Message) -> video_pb2.Operation:
    """The operation whose message this is."""
    for field in KINDS:
        if field.message_type is message.DESCRIPTOR:
            return video_pb2.Operation(**{field.name: message})  # type: ignore[arg-type]
    raise TypeError(f"{message.DESCRIPTOR.full_name} is no kind of operation")


def rules(message: Message) -> options_pb2.MessageRules:
    """Return the rules of the message as a whole."""
    options: options_pb2.MessageRules = message.DESCRIPTOR.GetOptions().Extensions[options_pb2.rules]
    return options


def is_batch(operation: video_pb2.Operation) -> bool:
    """Return True if the message has a batch field, so that its result is a list."""
    return bool(batch_of(kind(operation)[1])[0])


def items(operation: video_pb2.Operation) -> list[str]:
    """Return the ids of the batch's elements, one task each; OLDER_FORM_ID for an operation of a single task."""
    _, elements = batch_of(kind(operation)[1])
    return [element.id for element in elements] or [OLDER_FORM_ID]


def budget(operation: video_pb2.Operation) -> float | None:
    """The most that the job may cost, in dollars; None where nothing is said."""
    said = _said(kind(operation)[1]) if is_known(operation) else ()
    return next((float(value) for rules, value in said if rules.budget), None)


def output_filename(operation: video_pb2.Operation) -> str:
    """Return the name that the caller gives the result; "" where nothing is said."""
    return next((str(value) for rules, value in _said(kind(operation)[1]) if rules.filename), "")


def _said(message: Message) -> Iterator[tuple[options_pb2.FieldRules, Any]]:
    """Yield what a message says, field by field: with the rules of each, and what a request says that stands in it."""
    for field, value in message.ListFields():
        yield field_rules(field), value
        if field_rules(field).partial:
            yield from _said(value)


def task_operation(operation: video_pb2.Operation, index: int) -> video_pb2.Operation:
    """The operation for one task: of a batch, only the element `index` is left."""
    name, message = kind(operation)
    batch, elements = batch_of(message)
    if not elements:
        return operation
    # Not a copy of the whole, which would make as many copies of the batch as it has elements.
    kept = {field.name: value for field, value in message.ListFields() if field.name != batch and not _is_source(field)}
    one = video_pb2.Operation()
    getattr(one, name).MergeFrom(type(message)(**kept, **{batch: [elements[index]]}))
    return one


def inputs(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of the sources of a message, in the order of the fields.

    A path has the index of an element ("parts[2].url", "url_videos[0]"), except in a batch, of which a task has but one
    ("images.image_url").
    """
    for field, value in message.ListFields():
        name, rules = prefix + field.name, field_rules(field)
        if not _is_source(field) and not _has_inputs(field.message_type):
            continue
        for place, element in elements_of(field, value, name):
            if field.message_type is not None:
                yield from inputs(element, f"{name if rules.batch else place}.")
            elif element:
                yield place, element


def divisible_inputs(message: Message) -> Iterator[str]:
    """Yield the fields whose sources encoders may cut the work by."""
    return (field.name for field, _ in message.ListFields() if field_rules(field).divisible)


def partial_inputs(message: Message) -> Iterator[str]:
    """Yield the paths of the sources of an operation of whose result a part is made, and of which encoders may need
    ranges alone."""
    for field, value in message.ListFields():
        if field_rules(field).partial:
            yield from (f"{field.name}.{name}" for name in divisible_inputs(value))


def outlines(message: Message, prefix: str = "") -> Iterator[str]:
    """Yield the paths of the sources of which an outline is enough to plan with."""
    for field, value in message.ListFields():
        if field_rules(field).outline:
            yield from (place for place, _ in elements_of(field, value, prefix + field.name))
        elif field.message_type is not None and _has_inputs(field.message_type):
            for place, element in elements_of(field, value, prefix + field.name):
                yield from outlines(element, f"{place}.")


@functools.cache
def _has_inputs(descriptor: Descriptor | None, above: tuple[Descriptor, ...] = ()) -> bool:
    """Return True if a message of this type may name sources, itself or in its fields."""
    if descriptor is None or descriptor in above:
        return False
    inside = (*above, descriptor)
    return any(_is_source(field) or _has_inputs(field.message_type, inside) for field in descriptor.fields)


def inline_texts(operation: video_pb2.Operation) -> video_pb2.Operation:
    """Return the operation with each file that stands in it as text as a data: URI, and so as any other source."""
    made = video_pb2.Operation()
    made.CopyFrom(operation)
    _inline_texts(made)
    return made


def _inline_texts(message: Message) -> None:
    for field, value in message.ListFields():
        if field_rules(field).text_of:
            # Said by its byte order mark, that it is in UTF-8 goes before all else that is said of encodings.
            data = base64.b64encode(codecs.BOM_UTF8 + value.encode()).decode()
            uri = f"data:text/plain;name={TEXT_FILENAME};base64,{data}"
            setattr(message, field.name, uri if value.strip() else "")
        elif field.message_type is not None and _has_inputs(field.message_type):
            for _, element in elements_of(field, value, ""):
                _inline_texts(element)


def name_text_files(message: Message) -> None:
    """Have each text that became an asset named in the field that takes a file, in place of the text."""
    for field, value in message.ListFields():
        if field_rules(field).text_of:
            setattr(message, field_rules(field).text_of, value)
            message.ClearField(field.name)
        elif field.message_type is not None and _has_inputs(field.message_type):
            for _, element in elements_of(field, value, ""):
                name_text_files(element)


def replace_inputs(message: Message, replacement: Callable[[str], Sequence[str]]) -> None:
    """Put in place of each source of a message what it stands for: of a single field one text, in a list any number."""
    for field, value in message.ListFields():
        if field.message_type is not None and _has_inputs(field.message_type):
            for _, element in elements_of(field, value, ""):
                replace_inputs(element, replacement)
        elif _is_source(field):
            texts = [text for old in (value if field.is_repeated else [value]) for text in replacement(old)]
            message.ClearField(field.name)
            if field.is_repeated:
                getattr(message, field.name).extend(texts)
            else:
                setattr(message, field.name, *texts)


def most_items(message: Message) -> dict[str, int]:
    """Return, for each list of sources that a message has itself, how many it may have (0: any number)."""
    lists = (field for field in message.DESCRIPTOR.fields if field.is_repeated and field_rules(field).input)
    return {field.name: field_rules(field).max_items for field in lists}


def distinct_inputs(message: Message) -> list[tuple[str, list[str]]]:
    """Return each source of a message once, with the paths of the fields that name it, in the order of the fields.

    Only elements of lists are joined: encoders of before there were such inputs read one field an input.
    """
    paths: dict[tuple[str, str], list[str]] = {}
    for path, text in inputs(message):
        paths.setdefault((text, "" if "[" in path else path), []).append(path)
    return [(text, found) for (text, _), found in paths.items()]


def elements_of(field: Field, value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each element of a list, or of the one value; none of a map."""
    if not field.is_repeated:
        yield name, value
    elif field.message_type is None or not field.message_type.GetOptions().map_entry:
        yield from ((f"{name}[{index}]", element) for index, element in enumerate(value))


def batch_of(message: Message) -> tuple[str, Any]:
    """Return the name and the elements of the batch field; "" and () for a message without one."""
    names = (field.name for field in message.DESCRIPTOR.fields if field_rules(field).batch)
    return next(((name, getattr(message, name)) for name in names), ("", ()))


def _is_source(field: Field) -> bool:
    """Return True for a field whose text names a source, or is one."""
    rules = field_rules(field)
    return bool(rules.input or rules.text_of)


# Cached, as there may be 50,000 elements of one kind in a request, and the descriptors are few.
@functools.cache
def field_rules(field: Field) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return rules
