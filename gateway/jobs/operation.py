"""The rules of an operation: only what the options in options.proto say of its message.

So a new operation needs no edit here: its fields are checked, its inputs found and its batch split by their options.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from apigpu.v1 import options_pb2, video_pb2
from servicekit.errors import InvalidArgument

# The descriptors of protobuf's C implementation have no public type.
Field = Any

# Id of the only result of a batch operation that was asked for in its older form, without a batch.
OLDER_FORM_ID = "1"


def kind(operation: video_pb2.Operation) -> tuple[str, Message]:
    """Name of the operation and its message. Raises InvalidArgument when none is set."""
    name = operation.WhichOneof("kind")
    if name is None:
        known = ", ".join(field.name for field in operation.DESCRIPTOR.oneofs_by_name["kind"].fields)
        raise InvalidArgument(f"The operation is missing; give one of: {known}.", fields={"operation": "required"})
    return name, getattr(operation, name)


def is_known(operation: video_pb2.Operation) -> bool:
    """Return False for an operation that only a later version knows, or for none."""
    return operation.WhichOneof("kind") is not None


def wrap(message: Message) -> video_pb2.Operation:
    """The operation whose message this is."""
    for field in video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields:
        if field.message_type is message.DESCRIPTOR:
            operation = video_pb2.Operation()
            getattr(operation, field.name).CopyFrom(message)
            return operation
    raise TypeError(f"{message.DESCRIPTOR.full_name} is no kind of operation")


def max_files(operation: video_pb2.Operation) -> int:
    """Return how many further results a task of the operation may have, beside its first one."""
    return _message_rules(kind(operation)[1].DESCRIPTOR).files


def done_text(operation: video_pb2.Operation) -> str:
    """Text of the answer when the operation went well."""
    return _message_rules(kind(operation)[1].DESCRIPTOR).done


def check(operation: video_pb2.Operation, max_items: int) -> None:
    """Hold the operation against its rules. Raises InvalidArgument with the text of the contract."""
    _, message = kind(operation)
    _check(message, "")
    batch = _batch(message)
    if batch is not None and len(getattr(message, batch.name)) > max_items:
        count = len(getattr(message, batch.name))
        raise InvalidArgument(
            f"{batch.name} has {count} elements and {max_items} are allowed; send several requests.",
            fields={batch.name: f"at most {max_items} elements"},
        )


def _check(message: Message, prefix: str) -> None:
    missing = [prefix + field.json_name for field in message.DESCRIPTOR.fields if _is_missing(message, field)]
    if missing:
        text = _message_rules(message.DESCRIPTOR).required or f"{', '.join(missing)}: required"
        raise InvalidArgument(text, fields=dict.fromkeys(missing, "required"))
    for field, value in message.ListFields():
        if field.is_repeated:
            _check_count(field, value, prefix)
        if field.message_type is not None:
            _check_within(field, value, prefix)
        elif field.is_repeated:
            _check_sources(field, value, prefix)
        else:
            _check_range(field, value, prefix)


def _check_within(field: Field, value: Any, prefix: str) -> None:
    if not field.is_repeated:
        _check(value, f"{prefix}{field.json_name}.")
        return
    for index, element in enumerate(value):
        _check(element, f"{prefix}{field.json_name}[{index}].")
    if unique := _rules(field).unique:
        _check_unique(unique, value, prefix + field.json_name)


def _check_count(field: Field, value: Any, prefix: str) -> None:
    most = _rules(field).max_items
    if most and len(value) > most:
        name = prefix + field.json_name
        raise InvalidArgument(f"{name} has {len(value)} elements and {most} are the most.", fields={name: "too many"})


def _check_sources(field: Field, value: Any, prefix: str) -> None:
    for index, source in enumerate(value):
        if _rules(field).input and not source.strip():
            name = f"{prefix}{field.json_name}[{index}]"
            raise InvalidArgument(f"{name} is empty; give a source, or leave it out.", fields={name: "required"})


def _check_unique(name: str, elements: Any, where: str) -> None:
    first: dict[Any, int] = {}
    for index, element in enumerate(elements):
        value = getattr(element, name)
        earlier = first.setdefault(value, index)
        if earlier != index:
            places = f"{where}[{earlier}].{name}", f"{where}[{index}].{name}"
            text = f"{places[0]} and {places[1]} are both {str(value)[:80]!r}; give each element its own."
            raise InvalidArgument(text, fields=dict.fromkeys(places, "not unique"))


def _is_missing(message: Message, field: Field) -> bool:
    rules = _rules(field)
    if not rules.required or (rules.unless and getattr(message, rules.unless)):
        return False
    value = getattr(message, field.name)
    return not (value.strip() if isinstance(value, str) else value)


def _check_range(field: Field, value: Any, prefix: str) -> None:
    rules, name = _rules(field), prefix + field.json_name
    low = rules.min if rules.HasField("min") else None
    high = rules.max if rules.HasField("max") else None
    # Written so that NaN, which compares false with everything, is refused.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        text = f"must be from {low:g} to {high:g}" if low is not None and high is not None else "is out of range"
        raise InvalidArgument(f"{name} is {value:g} and {text}.", fields={name: text})


def items(operation: video_pb2.Operation) -> list[str] | None:
    """Ids of the batch's elements, one task each; None for an operation of a single task."""
    _, message = kind(operation)
    batch = _batch(message)
    if batch is not None and getattr(message, batch.name):
        return [element.id for element in getattr(message, batch.name)]
    return None


def budget(operation: video_pb2.Operation) -> float | None:
    """The most that the job may cost, in dollars; None where nothing is said."""
    if not is_known(operation):
        return None
    _, message = kind(operation)
    for field, value in message.ListFields():
        if _rules(field).budget:
            return float(value)
    return None


def single(operation: video_pb2.Operation) -> bool:
    """Return True if the message has no batch field, so that its result is one video."""
    return _batch(kind(operation)[1]) is None


def task_operation(operation: video_pb2.Operation, index: int) -> video_pb2.Operation:
    """The operation for one task: of a batch, only the element `index` is left."""
    name, message = kind(operation)
    batch = _batch(message)
    if batch is None or not getattr(message, batch.name):
        return operation
    one = video_pb2.Operation()
    one.CopyFrom(operation)
    elements = getattr(getattr(one, name), batch.name)
    element = getattr(message, batch.name)[index]
    del elements[:]
    elements.append(element)
    _clear_other_inputs(getattr(one, name))
    return one


def _clear_other_inputs(message: Message) -> None:
    for field in message.DESCRIPTOR.fields:
        if _rules(field).input:
            message.ClearField(field.name)


def inputs(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield path and text of the sources of a message, in the order of the fields.

    A path has the index of an element ("parts[2].url", "url_videos[0]"), except in a batch, of which a task has but one
    ("images.image_url").
    """
    for field, value in message.ListFields():
        for place, element in _elements(field, value, prefix + field.name):
            if field.message_type is not None:
                yield from inputs(element, f"{place}.")
            elif _rules(field).input and element:
                yield place, element


@dataclass(frozen=True)
class InputSource:
    """A source, the path of the field that names it, and the paths of others that name the same."""

    path: str
    text: str
    also: tuple[str, ...] = ()


def distinct_inputs(message: Message) -> list[InputSource]:
    """Return the sources of a message, each once, in the order of the fields.

    Only elements of lists are joined: encoders of before there were such inputs read one field an input.
    """
    paths: dict[tuple[str, str], list[str]] = {}
    for path, text in inputs(message):
        paths.setdefault((text, "" if "[" in path else path), []).append(path)
    return [InputSource(first, text, tuple(also)) for (text, _), (first, *also) in paths.items()]


def _elements(field: Field, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not field.is_repeated:
        yield path, value
    elif field.message_type is None or not field.message_type.GetOptions().map_entry:
        for index, element in enumerate(value):
            yield path if _rules(field).batch else f"{path}[{index}]", element


def _batch(message: Message) -> Field | None:
    return next((field for field in message.DESCRIPTOR.fields if _rules(field).batch), None)


def _rules(field: Field) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return rules


def _message_rules(descriptor: Any) -> options_pb2.MessageRules:
    rules: options_pb2.MessageRules = descriptor.GetOptions().Extensions[options_pb2.rules]
    return rules
