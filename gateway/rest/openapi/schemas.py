"""JSON Schemas of messages, for the OpenAPI document. Source: OpenAPI 3.1, JSON Schema 2020-12."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from apigpu.v1 import options_pb2
from gateway.rest.openapi.comments import comments
from gateway.rest.protojson.encode import OWN_FORM
from gateway.rest.protojson.fields import Descriptor, Field
from servicekit import enums

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
        """A reference to the message's schema, which is made when it is not there yet."""
        if descriptor.full_name in OWN_FORM:
            return dict(_OWN_FORMS.get(descriptor.full_name, {}))
        name = _name(descriptor)
        if name not in self.components:
            self.components[name] = {}  # a message may contain itself
            self.components[name].update(self._message(descriptor))
        return {"$ref": f"#/components/schemas/{name}"}

    def field(self, field: Field) -> Schema:
        """The schema of a field's value, with its comment and its limits."""
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = self.field(field.message_type.fields_by_name["value"])
            return _described(field, {"type": "object", "additionalProperties": value})
        single = self._single(field)
        return _described(field, {"type": "array", "items": single} if field.is_repeated else single)

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
        made: Schema = {"type": "object"}
        if text := comments().get(descriptor.full_name):
            made["description"] = text
        made["properties"] = {field.json_name: self.field(field) for field in descriptor.fields}
        required = [field.json_name for field in descriptor.fields if is_required(field)]
        if required:
            made["required"] = required
        if len(descriptor.oneofs) == 1 and len(descriptor.oneofs[0].fields) == len(descriptor.fields) > 1:
            made["maxProperties"] = 1  # one field at a time
        return made


def is_required(field: Field) -> bool:
    """Whether the operation cannot do without the field."""
    rules = _rules(field)
    return bool(rules.required and not rules.unless)


def _rules(field: Field) -> options_pb2.FieldRules:
    rules: options_pb2.FieldRules = field.GetOptions().Extensions[options_pb2.field]
    return rules


def _described(field: Field, schema: Schema) -> Schema:
    text = comments().get(field.full_name)
    return {**schema, "description": text} if text else schema


def _name(descriptor: Descriptor) -> str:
    """The message's name without the package: "Job", "Outer.Inner"."""
    return str(descriptor.full_name.removeprefix(descriptor.file.package + "."))
