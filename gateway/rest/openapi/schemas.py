"""JSON Schemas of messages, with the comments of the protos. Source: OpenAPI 3.1, JSON Schema 2020-12."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

from apigpu.v1 import options_pb2
from gateway.rest.protojson.decode import Descriptor, Field
from gateway.rest.protojson.encode import OWN_FORM
from servicekit import enums

# Comments for tools, not for readers.
DIRECTIVES = ("buf:lint:",)

Schema = dict[str, Any]

_SCALARS: dict[int, Schema] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    FieldDescriptor.CPPTYPE_INT64: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "integer", "minimum": 0},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
_OWN_FORMS: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "examples": ["1.5s"]},
}


class Schemas:
    """The schemas of all messages that were referred to."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def reference(self, descriptor: Descriptor) -> Schema:
        """Return a reference to the message's schema, which is added if missing."""
        if descriptor.full_name in OWN_FORM:
            return dict(_OWN_FORMS.get(descriptor.full_name, {}))
        name = _name(descriptor)
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
        return _with_comment(field, {"type": "array", "items": single} if field.is_repeated else single)

    def _single(self, field: Field) -> Schema:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            full = [value.name for value in field.enum_type.values]
            return {"type": "string", "enum": list(dict.fromkeys([*enums.short_names(field.enum_type), *full]))}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64"}
        rules = _rules(field)
        lowest = {"minimum": rules.min} if rules.HasField("min") else {}
        highest = {"maximum": rules.max} if rules.HasField("max") else {}
        return {**_SCALARS[field.cpp_type], **lowest, **highest}

    def _message(self, descriptor: Descriptor) -> Schema:
        schema: Schema = {"type": "object"}
        if text := comments().get(descriptor.full_name):
            schema["description"] = text
        schema["properties"] = {field.json_name: self.field(field) for field in descriptor.fields}
        required = [field.json_name for field in descriptor.fields if is_required(field)]
        if required:
            schema["required"] = required
        if len(descriptor.oneofs) == 1 and len(descriptor.oneofs[0].fields) == len(descriptor.fields) > 1:
            schema["maxProperties"] = 1  # one field at a time
        return schema


def is_required(field: Field) -> bool:
    """Return True if requests without the field are refused."""
    rules = _rules(field)
    return bool(rules.required and not rules.unless)


def _rules(field: Field) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return rules


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
