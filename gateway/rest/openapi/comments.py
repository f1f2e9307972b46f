"""The comments of the protos, by the full name of what they stand at; for the OpenAPI document."""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2

DIRECTIVES = ("buf:lint:",)

Path = tuple[int, ...]
Named = Iterator[tuple[Path, str]]


@cache
def comments() -> dict[str, str]:
    """Full name of a service, method, message, field, enum or value to its comment; empty without descriptors.binpb."""
    file = resources.files("apigpu").joinpath("descriptors.binpb")
    if not file.is_file():
        return {}
    made: dict[str, str] = {}
    for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read_bytes()).file:
        at = {tuple(place.path): place.leading_comments for place in proto.source_code_info.location}
        made |= {name: _text(at[path]) for path, name in _named(proto) if at.get(path)}
    return made


def _text(comment: str) -> str:
    lines = (line.strip() for line in comment.splitlines())
    return "\n".join(line for line in lines if not line.startswith(DIRECTIVES)).strip()


def _named(proto: descriptor_pb2.FileDescriptorProto) -> Named:
    """Paths as in SourceCodeInfo: numbers of fields of FileDescriptorProto and so on, and indices."""
    for index, service in enumerate(proto.service):
        yield from _members((6, index), f"{proto.package}.{service.name}", (2, service.method))
    for index, message in enumerate(proto.message_type):
        yield from _in_message((4, index), f"{proto.package}.{message.name}", message)
    for index, enum in enumerate(proto.enum_type):
        yield from _members((5, index), f"{proto.package}.{enum.name}", (2, enum.value))


def _in_message(path: Path, name: str, message: descriptor_pb2.DescriptorProto) -> Named:
    yield from _members(path, name, (2, message.field))
    for index, nested in enumerate(message.nested_type):
        yield from _in_message((*path, 3, index), f"{name}.{nested.name}", nested)
    for index, enum in enumerate(message.enum_type):
        yield from _members((*path, 4, index), f"{name}.{enum.name}", (2, enum.value))


def _members(path: Path, name: str, *groups: tuple[int, Any]) -> Named:
    yield path, name
    for number, members in groups:
        for index, member in enumerate(members):
            yield (*path, number, index), f"{name}.{member.name}"
