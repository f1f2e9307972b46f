"""Hold an operation against the rules of its message, before anything is done for it: options.proto.

All faults of a request are told in one answer, each with its field.
"""

import functools
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from apigpu.v1 import options_pb2, video_pb2
from gateway.jobs import operation
from gateway.jobs.operation import Descriptor, Field
from servicekit import enums
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults


def check(wanted: video_pb2.Operation, max_items: int) -> None:
    """Raise InvalidArgument for an operation that is not as its rules say, with the text of the contract."""
    _, message = operation.kind(wanted)
    name, elements = operation.batch_of(message)
    if len(elements) > max_items:
        raise InvalidArgument(
            f"{name} has {len(elements)} elements and {max_items} are allowed; send several requests.",
            reason="TOO_MANY_ITEMS",
            fields={name: f"at most {max_items} elements"},
        )
    faults = Faults()
    _check(message, "", faults)
    faults.check()


def _fault(text: str, names: Iterable[str], description: str, reason: str = "BAD_FIELD") -> InvalidArgument:
    return InvalidArgument(text, reason=reason, fields=dict.fromkeys(names, description))


def _check(message: Message, prefix: str, faults: Faults) -> None:
    _check_required(message, prefix, faults)
    given = message.ListFields()
    for one, value in given:
        _check_field(one, value, prefix + one.json_name, faults)
        if _is_tied(one):
            _check_company(message, one, prefix, faults)


def _check_required(message: Message, prefix: str, faults: Faults) -> None:
    missing = [one for one in _required(message.DESCRIPTOR) if _is_missing(message, one)]
    if not missing:
        return
    names = [prefix + one.json_name for one in missing]
    if text := operation.rules(message).required:
        faults.add(_fault(text, names, "required", "MISSING_FIELD"))
        return
    for name, one in zip(names, missing, strict=True):
        others = _listed(message.DESCRIPTOR, operation.field_rules(one).unless)
        description = f"required, unless {' or '.join(others)} is given" if others else "required"
        faults.add(_fault(f"{name}: {description}", [name], description, "MISSING_FIELD"))


def _check_field(one: Field, value: Any, name: str, faults: Faults) -> None:
    rules = operation.field_rules(one)
    if one.is_repeated and 0 < rules.max_items < len(value):
        text = f"{name} has {len(value)} elements and {rules.max_items} are the most."
        faults.add(_fault(text, [name], "too many", "TOO_MANY_ITEMS"))
        return
    for place, element in operation.elements_of(one, value, name):
        if one.message_type is not None:
            if rules.partial:
                _check_part(element, place, faults)
            _check(element, f"{place}.", faults)
        elif one.enum_type is not None:
            _check_choice(one.enum_type, element, place, faults)
        elif not one.is_repeated:
            _check_value(rules, element, place, faults)
        elif rules.input and not element.strip():
            text = f"{place} is empty; give a source, or leave it out."
            faults.add(_fault(text, [place], "required", "MISSING_FIELD"))
    if rules.unique:
        _check_unique(rules.unique, value, name, faults)


def _check_part(request: Message, place: str, faults: Faults) -> None:
    """Hold a request, of whose result a part is made, to a batch of one."""
    name, elements = operation.batch_of(request)
    if len(elements) > 1:
        text = f"{place}.{name} has {len(elements)} elements and one is allowed here; send a request for each."
        faults.add(_fault(text, [f"{place}.{name}"], "at most one element", "TOO_MANY_ITEMS"))


def _check_unique(name: str, elements: Any, where: str, faults: Faults) -> None:
    """Compare a field of the elements; an element without it counts by its place, from 1."""
    first: dict[Any, int] = {}
    for index, element in enumerate(elements):
        value = getattr(element, name) or str(index + 1)
        earlier = first.setdefault(value, index)
        if earlier != index:
            places = f"{where}[{earlier}].{name}", f"{where}[{index}].{name}"
            text = f"{places[0]} and {places[1]} are both {str(value)[:80]!r}; give each element its own."
            faults.add(_fault(text, places, "not unique"))


@functools.cache
def _required(descriptor: Descriptor) -> tuple[Field, ...]:
    return tuple(one for one in descriptor.fields if operation.field_rules(one).required)


def _is_missing(message: Message, one: Field) -> bool:
    return not any(_is_given(message, name) for name in (one.name, *operation.field_rules(one).unless.split()))


def _is_given(message: Message, name: str) -> bool:
    """Return True for a field that is set, and to more than blanks, or 0 where that is no value of its own."""
    value = getattr(message, name)
    if message.DESCRIPTOR.fields_by_name[name].has_presence:
        return message.HasField(name)
    return bool(value.strip() if isinstance(value, str) else value)


@functools.cache
def _is_tied(one: Field) -> bool:
    """Return True for a field whose rules speak of others."""
    rules = operation.field_rules(one)
    return bool(rules.not_with or rules.goes_with or rules.above or rules.text_of)


def _check_company(message: Message, one: Field, prefix: str, faults: Faults) -> None:
    """Hold a field that is given against those beside it."""
    if not _is_given(message, one.name):
        return
    rules, name, known = operation.field_rules(one), prefix + one.json_name, message.DESCRIPTOR
    others = [other for other in f"{rules.not_with} {rules.text_of}".split() if _is_given(message, other)]
    if others:
        description = f"cannot be given together with {' and '.join(_listed(known, ' '.join(others)))}"
        faults.add(_fault(f"{name} {description}", [name], description))
    absent = [other for other in rules.goes_with.split() if not _is_given(message, other)]
    if absent:
        description = f"cannot be given without {' and '.join(_listed(known, ' '.join(absent)))}"
        faults.add(_fault(f"{name} {description}", [name], description))
    if rules.above and _is_given(message, rules.above):
        low, value = getattr(message, rules.above), getattr(message, one.name)
        if not value > low:
            description = f"must be more than {_listed(known, rules.above)[0]}, which is {low:g}"
            faults.add(_fault(f"{name} is {value:g} and {description}.", [name], description))


def _listed(known: Descriptor, names: str) -> list[str]:
    """Return the names of fields as the JSON surface has them."""
    return [known.fields_by_name[name].json_name for name in names.split()]


def _check_choice(enum: Any, value: int, name: str, faults: Faults) -> None:
    if value not in enum.values_by_number:  # one of a later version
        text = f"must be one of {', '.join(enums.short_names(enum))}"
        faults.add(_fault(f"{name} {text}", [name], text))


def _check_value(rules: options_pb2.FieldRules, value: Any, name: str, faults: Faults) -> None:
    if 0 < rules.max_letters < len(value):
        text = f"has {len(value)} letters and {rules.max_letters} are the most"
        faults.add(_fault(f"{name} {text}.", [name], text))
    low = rules.min if rules.HasField("min") else None
    high = rules.max if rules.HasField("max") else None
    # Written so that NaN, which compares false with everything, is refused.
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        text = f"must be from {low:g} to {high:g}" if low is not None and high is not None else "is out of range"
        faults.add(_fault(f"{name} is {value:g} and {text}.", [name], text))
