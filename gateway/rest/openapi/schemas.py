"""JSON Schemas of messages, with the comments of the protos. Source: OpenAPI 3.1, JSON Schema 2020-12."""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

from apigpu.v1 import jobs_pb2, options_pb2
from gateway.rest.job_options import takes_options
from gateway.rest.protojson.decode import Descriptor, Field
from gateway.rest.protojson.encode import OWN_FORM, WRAPPERS, is_as_given
from gateway.rest.protojson.scalars import LIMITS, NULL_VALUE
from servicekit import enums

# Comments for tools, not for readers.
DIRECTIVES = ("buf:lint:",)

Schema = dict[str, Any]

_SCALARS: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "integer"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
_OWN_FORMS: dict[str, Schema] = {
    "google.protobuf.Any": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$", "examples": ["1.5s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["user.displayName,photo"]},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
}
# Forms of a source, which the gateway opens; within a chain also the result of a step.
_SOURCE = "^(https?://|assets/|data:|step:)."


class Schemas:
    """The schemas of all messages that were referred to: as requests are read, or as responses are written.

    A request lacks what it leaves unsaid; of a response all is there that has no presence of its own. A message whose
    full name is in `taken` is named "NAME.Input".
    """

    def __init__(self, *, is_request: bool, taken: Collection[str] = (), as_given: "Schemas | None" = None) -> None:
        """`as_given` has the schemas of messages that are written as they were given."""
        self.components: dict[str, Schema] = {}
        self._is_request = is_request
        self._taken = taken
        self._as_given = as_given

    def reference(self, descriptor: Descriptor) -> Schema:
        """Return a reference to the message's schema, which is added if missing."""
        if descriptor.full_name in WRAPPERS:
            value = self.field(descriptor.fields_by_name["value"])
            return {"type": [value.pop("type"), "null"], **value}
        if descriptor.full_name in OWN_FORM:
            return dict(_OWN_FORMS[descriptor.full_name])
        if self._as_given is not None and is_as_given(descriptor):
            return self._as_given.reference(descriptor)
        name = _name(descriptor)
        if descriptor.full_name in self._taken:
            name += ".Input"
        if name not in self.components:
            self.components[name] = {}  # a message may contain itself
            self.components[name].update(self._message(descriptor))
        return {"$ref": f"#/components/schemas/{name}"}

    def field(self, field: Field) -> Schema:
        """Return the schema of a field's value, with its comment and its limits."""
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = self.field(field.message_type.fields_by_name["value"])
            return _with_comment(field, {"type": "object", "additionalProperties": value})
        single = self._single(field)
        if field.is_repeated:
            single = {"type": "array", "items": single, **_item_limits(field)}
        return _with_comment(field, single)

    def _single(self, field: Field) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        if field.type == FieldDescriptor.TYPE_STRING:
            return {"type": "string", **_text_limits(field)}
        return {**_SCALARS[field.cpp_type], **_number_limits(field)}

    def _enum(self, enum: Any) -> Schema:
        if enum.full_name == NULL_VALUE:
            return {"type": "null"}
        names = [value.name for value in enum.values]
        short = enums.short_names(enum) if self._is_request else []
        return {"type": "string", "enum": list(dict.fromkeys([*short, *names]))}

    def _message(self, descriptor: Descriptor) -> Schema:
        schema: Schema = {"type": "object"}
        if text := comments().get(descriptor.full_name):
            schema["description"] = text
        beside = jobs_pb2.JobOptions.DESCRIPTOR.fields if self._is_request and takes_options(descriptor) else ()
        schema["properties"] = {field.json_name: self.field(field) for field in (*descriptor.fields, *beside)}
        is_there = is_required if self._is_request else is_always_written
        required = [field.json_name for field in descriptor.fields if is_there(field)]
        if required:
            schema["required"] = required
        if self._is_request:
            schema["additionalProperties"] = False
            schema |= _alternatives(descriptor)
        if len(descriptor.oneofs) == 1 and len(descriptor.oneofs[0].fields) == len(descriptor.fields) > 1:
            schema["maxProperties"] = 1 + len(beside)  # one of the message's own at a time
        return schema


def _alternatives(descriptor: Descriptor) -> Schema:
    """Return that one of several fields must be given, where that is so. "anyOf" would say it too, and would have
    generators of clients make a union of nothing."""
    found = [
        [field.json_name, *(descriptor.fields_by_name[name].json_name for name in _rules(field).unless.split())]
        for field in descriptor.fields
        if _rules(field).required and _rules(field).unless
    ]
    # Validators want what is required to be there in the same schema.
    one_of = ([{"required": [name], "properties": {name: {}}} for name in names] for names in found)
    missing = [{"not": {"anyOf": each}} for each in one_of]
    return {"not": missing[0] if len(missing) == 1 else {"anyOf": missing}} if missing else {}


def is_required(field: Field) -> bool:
    """Return True if requests without the field are refused."""
    rules = _rules(field)
    return bool(rules.required and not rules.unless)


def is_always_written(field: Field) -> bool:
    """Return True if the field is in every response."""
    return not field.has_presence and not _rules(field).sparse


def _rules(field: Field) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return rules


def pattern_of(field: Field) -> str:
    """Return the regular expression of the field's values; "" for any."""
    rules = _rules(field)
    return str(rules.pattern) or (_SOURCE if rules.input else "")


def reachable(descriptors: Iterable[Descriptor]) -> set[str]:
    """Return the names of these messages and of all messages within them, but for those that are written as they were
    given."""
    found: set[str] = set()
    waiting = list(descriptors)
    while waiting:
        descriptor = waiting.pop()
        if descriptor.full_name not in found and not is_as_given(descriptor):
            found.add(descriptor.full_name)
            waiting += [field.message_type for field in descriptor.fields if field.message_type is not None]
    return found


def _text_limits(field: Field) -> Schema:
    rules = _rules(field)
    most = {"maxLength": rules.max_letters} if rules.max_letters else {}
    if pattern := pattern_of(field):
        return {"pattern": pattern, **most}
    return {"minLength": 1, **most} if rules.required and not field.is_repeated else most


def _number_limits(field: Field) -> Schema:
    rules = _rules(field)
    low, high = LIMITS.get(field.cpp_type, (None, None))
    limits = {"minimum": rules.min if rules.HasField("min") else low}
    limits["maximum"] = rules.max if rules.HasField("max") else high
    return {name: int(limit) if limit == int(limit) else limit for name, limit in limits.items() if limit is not None}


def _item_limits(field: Field) -> Schema:
    rules = _rules(field)
    lowest = {"minItems": 1} if rules.required and not rules.unless else {}
    return {**lowest, "maxItems": rules.max_items} if rules.max_items else lowest


def _with_comment(field: Field, schema: Schema) -> Schema:
    text = comments().get(field.full_name)
    return {**schema, "description": text} if text else schema


def _name(descriptor: Descriptor) -> str:
    """Return the message's name without the package: "Job", "Outer.Inner"."""
    return str(descriptor.full_name.removeprefix(descriptor.file.package + "."))


@cache
def comments() -> dict[str, str]:
    """Map full names (of services, messages, fields, enums, …) to their comments; {} without descriptors.binpb."""
    file = resources.files("apigpu").joinpath("descriptors.binpb")
    if not file.is_file():
        return {}
    found: dict[str, str] = {}
    for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes()).file:
        for place in proto.source_code_info.location:
            if place.leading_comments and (name := _name_at(proto, place.path)):
                found[name] = _text(place.leading_comments)
    return found


def _text(comment: str) -> str:
    lines = (line.strip() for line in comment.splitlines())
    return "\n".join(line for line in lines if not line.startswith(DIRECTIVES)).strip()


def _name_at(proto: descriptor_pb2.FileDescriptorProto, path: Sequence[int]) -> str | None:
    """Return the full name of what a path of SourceCodeInfo leads to: numbers of fields, and indices within them."""
    node: Any = proto
    names = [proto.package]
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number[number]
        if not field.is_repeated or field.message_type is None:  # an option, an import
            return None
        node = getattr(node, field.name)[index]
        names.append(node.name)
    return ".".join(names) if len(path) % 2 == 0 else None
