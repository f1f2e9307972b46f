"""Fields of messages, found by the names that clients use."""

from typing import Any

# The descriptors of protobuf's C implementation have no public type.
Descriptor = Any
Method = Any
Field = Any


def is_bytes(field: Field | None) -> bool:
    """Whether the field is a single bytes field: a body that passes untouched."""
    return field is not None and field.type == field.TYPE_BYTES and not field.is_repeated


def fields_on(descriptor: Descriptor, path: str) -> list[Field]:
    """The fields along a dotted path of proto or JSON names, the one it leads to last; empty when there is none."""
    chain: list[Field] = []
    for name in path.split("."):
        field = field_named(descriptor, name) if descriptor is not None else None
        if field is None:
            return []
        chain.append(field)
        descriptor = None if field.is_repeated else field.message_type
    return chain


def field_named(descriptor: Descriptor, name: str) -> Field | None:
    """The message's field with this proto or JSON name; None when there is none."""
    found = descriptor.fields_by_name.get(name)
    return found or next((field for field in descriptor.fields if field.json_name == name), None)
