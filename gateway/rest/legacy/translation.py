"""Bodies in the older form, rewritten by the tables in `fields`; and what the answer then says of it.

What can be done is done under today's name. What cannot is refused, or told in `warnings` where the result is of use
without it: nothing is dropped in silence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apigpu.v1 import video_pb2
from gateway.rest.protojson.decode import Descriptor, given_twice
from gateway.rest.protojson.encode import to_json
from servicekit.echo import brief
from servicekit.errors import InvalidArgument

NOT_SUPPORTED = "FIELD_NOT_SUPPORTED"
Body = dict[str, Any]
# Messages that hold those of operations.
CONTAINERS = tuple(
    message.DESCRIPTOR.name
    for message in (video_pb2.Operation, video_pb2.ChainRequest, video_pb2.ChainStep, video_pb2.FrameRequest)
)


@dataclass
class LegacyNotes:
    """What the answer to a request in the older form says beside its own: warnings, and fields that come back."""

    warnings: list[video_pb2.Warning] = field(default_factory=list)
    echoes: Body = field(default_factory=dict)

    def warn(self, name: str, text: str) -> None:
        """Tell of a field that the result does without."""
        metadata = {"field": name}
        self.warnings.append(video_pb2.Warning(reason=NOT_SUPPORTED, message=f"{name}: {text}", metadata=metadata))

    def add_to(self, answer: Any) -> Any:
        """Return the JSON of an answer with what there is to say."""
        if not (self.warnings or self.echoes) or not isinstance(answer, dict):
            return answer
        said = [*map(to_json, self.warnings), *answer.get("warnings", ())]
        return answer | self.echoes | ({"warnings": said} if said else {})


@dataclass
class LegacyRequest:
    """A body that is being rewritten; rules change it in place."""

    body: Body
    notes: LegacyNotes

    def set(self, name: str, value: Any, given_as: str) -> None:
        """Set a field of today's form. Raises InvalidArgument where it is given in that form too."""
        if is_given(self.body.get(name)):
            raise given_twice(given_as, name)
        self.body[name] = value

    def message(self, name: str) -> Body:
        """Return the body of a message field, to be changed; {} where it is not given. Raises InvalidArgument."""
        value = self.body.get(name)
        if is_given(value) and not isinstance(value, dict):
            raise InvalidArgument.field(name, "must be an object", reason="BAD_FIELD")
        made = self.body[name] = dict(value) if isinstance(value, dict) else {}
        return made


# Applies one field of the older form: the request, the field's name, its value.
Rule = Callable[[LegacyRequest, str, Any], None]
Table = Mapping[str, Rule]


def is_given(value: Any) -> bool:
    """Return False for null and for a text that was left empty."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def text_of(value: Any) -> str:
    """Return a text or a number as text; "" for anything else."""
    is_scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if is_scalar else ""


def renamed(name: str) -> Rule:
    """Return the rule of a field that has another name today."""
    return lambda request, older, value: request.set(name, value, older)


def echoed(name: str) -> Rule:
    """Return the rule of a field whose value comes back in the answer, under this name."""

    def rule(request: LegacyRequest, older: str, value: Any) -> None:
        text = text_of(value)
        if not text or text in ("inf", "-inf") or not text.isprintable():  # of which JSON has none
            raise InvalidArgument.field(older, "must be a number or a string", reason="BAD_FIELD")
        request.notes.echoes[name] = brief(text) if isinstance(value, str) else value

    return rule


def ignored(text: str) -> Rule:
    """Return the rule of a field that the result does without, which is told with `text`."""
    return lambda request, older, _: request.notes.warn(older, text)


def refused(text: str) -> Rule:
    """Return the rule of a field without which nobody would notice the result; `text` says what to do instead."""

    def rule(_: LegacyRequest, older: str, __: Any) -> None:
        raise InvalidArgument.field(older, f"is not supported. {text}", reason=NOT_SUPPORTED)

    return rule


def apply(table: Table, body: Body, notes: LegacyNotes) -> Body:
    """Return the body with the fields of the table applied, in the order of the table."""
    if not body.keys() & table.keys():
        return body
    request = LegacyRequest({name: value for name, value in body.items() if name not in table}, notes)
    for name, rule in table.items():
        if is_given(body.get(name)):
            rule(request, name, body[name])
    return request.body


def translate(tables: Mapping[str, Table], descriptor: Descriptor | None, body: Any, notes: LegacyNotes) -> Any:
    """Return the body of an operation, or of a job with one or several, in today's form; others as they are. Raises
    InvalidArgument."""
    if isinstance(body, list):
        return [translate(tables, descriptor, element, notes) for element in body]
    if not isinstance(body, dict) or descriptor is None:
        return body
    body = apply(tables.get(descriptor.name, {}), body, notes)
    if descriptor.name not in CONTAINERS:
        return body
    inside = {known.name: known.message_type for known in descriptor.fields if known.message_type is not None}
    return {name: translate(tables, inside.get(name), value, notes) for name, value in body.items()}
