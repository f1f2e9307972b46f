"""Generate what the Python client and the command line know of options: `apigpu/options.py`, from the protos.

python -m tools.client_options write FOLDER   write apigpu/options.py below FOLDER, as `make gen` does

The protos are the only place where an option is written: its name, type, range, choices, default and description.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from api_gpu.requests import client_name
from apigpu.v1 import jobs_pb2, options_pb2, video_pb2
from gateway.rest.openapi.schemas import comments
from servicekit.enums import short_names

OUTPUT = Path("apigpu") / "options.py"
WIDTH = 116
TYPES = {
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_DOUBLE: "float",
    FieldDescriptor.CPPTYPE_STRING: "str",
    FieldDescriptor.CPPTYPE_UINT32: "int",
}
DEFAULT = re.compile(r"; (\S+) when not given")
SAME = re.compile(r"The same as (\w+)\.")
HEADER = '''\
"""Options of the operations, for the Python client and the command line.

Generated from protos/ by `make gen`; do not edit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

Source = str | Path
"""An input of an operation: a local file, an http(s) URL that the gateway can reach, or the name of an asset."""


@dataclass(frozen=True)
class Option:
    """Describe an option: what it is, its flag, its range, what holds when it is not given ("": nothing to tell)."""

    help: str
    flag: str
    minimum: float | None = None
    maximum: float | None = None
    default: str = ""
    metavar: str | None = None


@dataclass(frozen=True)
class Input:
    """Describe an input: a source, or several (`is_many`). It is required, unless one of some options is given."""

    help: str
    is_many: bool = False
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """Describe an operation: what it does, its inputs by name, and the class of its options.

    `item` is the class of one of the inputs of an operation that makes a result of each.
    """

    help: str
    inputs: dict[str, Input]
    options: type[Any]
    item: type[Any] | None = None
'''


@dataclass(frozen=True)
class Field:
    """A field of a message, as the client sees it."""

    descriptor: FieldDescriptor

    @cached_property
    def rules(self) -> options_pb2.FieldRules:
        """The gateway's rules of the field."""
        return self.descriptor.GetOptions().Extensions[options_pb2.field]

    @cached_property
    def client(self) -> options_pb2.ClientRules:
        """The client's names of the field."""
        return self.descriptor.GetOptions().Extensions[options_pb2.client]

    @property
    def name(self) -> str:
        """Name in Python."""
        return client_name(self.descriptor)

    @property
    def flag(self) -> str:
        """Flag on the command line, without hyphens in front."""
        return self.client.flag or self.name.replace("_", "-")

    @property
    def is_input(self) -> bool:
        """True for an input that the operation requires, or a list of parts that have inputs."""
        is_part_list = self.descriptor.is_repeated and self.descriptor.message_type is not None
        return self.rules.batch or (self.rules.required and (self.rules.input or is_part_list))

    @property
    def is_required(self) -> bool:
        """True for a field that nothing stands in for."""
        return bool(self.rules.required and not self.rules.unless)

    @cached_property
    def description(self) -> str:
        """The comment in one line, without the default."""
        return DEFAULT.sub("", " ".join(comments().get(self.descriptor.full_name, "").split()))

    @cached_property
    def default(self) -> str:
        """Default of the field, from its comment or that of its enum; "" for none."""
        if self.client.default:
            return str(self.client.default)
        enum = self.descriptor.enum_type
        if enum is not None and self.descriptor.has_presence:
            return ""
        if enum is not None:
            same = SAME.search(comments().get(f"{enum.full_name}.{enum.values[0].name}", ""))
            return short_name(enum, same.group(1)) if same else ""
        found = DEFAULT.search(" ".join(comments().get(self.descriptor.full_name, "").split()))
        return found.group(1) if found else ""

    @property
    def is_needed(self) -> bool:
        """True for a field that every object needs: it is required, or a number that cannot be absent."""
        if self.client.default:
            return False
        is_number = self.descriptor.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_UINT32)
        return self.is_required or (is_number and not self.descriptor.has_presence)

    @property
    def type_name(self) -> str:
        """The type in Python, without None."""
        descriptor = self.descriptor
        if descriptor.enum_type is not None:
            return str(descriptor.enum_type.name)
        if descriptor.message_type is not None:
            name = class_name(descriptor.message_type)
            return f"Iterable[{name}]" if descriptor.is_repeated else name
        return "Source" if self.rules.input else TYPES[descriptor.cpp_type]

    @property
    def choices(self) -> list[str]:
        """The short names of the values of an enum."""
        return short_names(self.descriptor.enum_type) if self.descriptor.enum_type is not None else []

    def option(self) -> str:
        """The call of Option that describes the field."""
        parts = [text_of(first_sentence(python_names(self.description))), text_of(self.flag)]
        parts += [f"minimum={self.rules.min:g}"] if self.rules.HasField("min") else []
        parts += [f"maximum={self.rules.max:.0f}"] if self.rules.HasField("max") else []
        parts += [f"default={text_of(self.default)}"] if self.default else []
        parts += ['metavar="COLOR"'] if self.description.startswith("Color ") else []
        return f"Option({', '.join(parts)})"

    def declaration(self) -> str:
        """The line of a dataclass that declares the field."""
        if self.is_needed:
            return f"{self.name}: {self.type_name}"
        is_plain = self.type_name == "bool" and not self.descriptor.has_presence
        kind, value = (self.type_name, "False") if is_plain else (f"{self.type_name} | None", "None")
        return f"{self.name}: Annotated[{kind}, {self.option()}] = {value}"


def fields_of(message: Descriptor) -> list[Field]:
    """Return the fields of a message that the client has."""
    return [field for field in map(Field, message.fields) if not field.client.hidden]


def operations() -> list[tuple[str, Descriptor]]:
    """Return the operations, but for those that are made of others: name and request."""
    found = [(field.name, field.message_type) for field in video_pb2.Operation.DESCRIPTOR.fields]
    return [(name, request) for name, request in found if request is not None and not is_graph(request)]


def is_graph(request: Descriptor) -> bool:
    """Return True for the request of an operation that is made of others."""
    return bool(request.GetOptions().Extensions[options_pb2.rules].graph)


def class_name(message: Descriptor) -> str:
    """Return the name of the message's class in Python."""
    return str(message.GetOptions().Extensions[options_pb2.client_class]) or str(message.name)


def option_messages() -> list[Descriptor]:
    """Return the messages that stand in the requests, each before those that it stands in."""
    found: dict[str, Descriptor] = {}

    def visit(message: Descriptor) -> None:
        for field in fields_of(message):
            inner = field.descriptor.message_type
            if inner is not None and inner.full_name not in found:
                visit(inner)
                found[inner.full_name] = inner

    for _, request in operations():
        visit(request)
    return list(found.values())


def enums() -> list[EnumDescriptor]:
    """Return the enums of all options."""
    messages = [*option_messages(), *(request for _, request in operations())]
    found = (field.descriptor.enum_type for message in messages for field in fields_of(message))
    return list({enum.full_name: enum for enum in found if enum is not None}.values())


def render() -> str:
    """Return the text of apigpu/options.py."""
    parts = [
        HEADER,
        *map(enum_alias, enums()),
        "",
        *map(options_class, option_messages()),
        *(request_class(request) for _, request in operations()),
        status_class(),
        operations_table(),
    ]
    return "\n".join(parts)


def enum_alias(enum: EnumDescriptor) -> str:
    """Return the definition of a choice."""
    choices = ", ".join(map(text_of, short_names(enum)))
    comment = comments().get(enum.full_name, "")
    return f'{enum.name} = Literal[{choices}]\n"""{escaped(comment)}"""'


def options_class(message: Descriptor) -> str:
    """Return the dataclass of a message of options."""
    fields = fields_of(message)
    arguments = "frozen=True" if any(field.is_needed for field in fields) else "frozen=True, kw_only=True"
    lines = [f"\n@dataclass({arguments})", f"class {class_name(message)}:"]
    lines += docstring(comments().get(message.full_name, ""), fields)
    return "\n".join([*lines, *(f"    {field.declaration()}" for field in fields), ""])


def request_class(request: Descriptor) -> str:
    """Return the TypedDict of the options of a request."""
    fields = [field for field in fields_of(request) if not field.is_input]
    lines = [f"\nclass {options_name(request)}(TypedDict, total=False):"]
    lines += docstring(f"Options of an operation: {comments().get(request.full_name, '')}", fields)
    lines += [f"    {field.name}: Annotated[{field.type_name} | None, {field.option()}]" for field in fields]
    return "\n".join([*lines, ""])


def options_name(request: Descriptor) -> str:
    """Return the name of the class of a request's options."""
    return request.name.removesuffix("Request") + "Options"


def docstring(comment: str, fields: Iterable[Field]) -> Iterator[str]:
    """Yield the lines of a class's docstring: the comment, then every field."""
    summary, _, rest = escaped(python_names(comment)).partition(". ")
    yield f'    """{summary.removesuffix(".")}.'
    yield ""
    if rest:
        yield from textwrap.wrap(rest, WIDTH, initial_indent="    ", subsequent_indent="    ")
        yield ""
    yield "    Attributes:"
    for field in fields:
        default = f" Default: {field.default}." if field.default else ""
        text = f"{field.name}: {python_names(field.description)}{range_text(field)}{default}"
        yield from textwrap.wrap(text, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12)
    yield '    """'
    yield ""


def python_names(text: str) -> str:
    """Return a description in which every field has its name in Python."""
    messages = [*option_messages(), *(request for _, request in operations())]
    names = {field.name: client_name(field) for message in messages for field in message.fields}
    text = re.sub(r"`(\w+)`", lambda found: f"`{names.get(found.group(1), found.group(1))}`", text)
    values = {value.name: short_name(enum, value.name) for enum in enums() for value in enum.values if value.number}
    return re.sub(r"\b[A-Z]+_[A-Z_]+\b", lambda found: values.get(found.group(), found.group()), text)


def range_text(field: Field) -> str:
    """Return the range of a field in words."""
    low, high = field.rules.HasField("min"), field.rules.HasField("max")
    if low and high:
        return f" From {field.rules.min:g} to {field.rules.max:.0f}."
    return f" At least {field.rules.min:g}." if low else ""


def status_class() -> str:
    """Return the enum of the states of a job."""
    enum = jobs_pb2.Job.Status.DESCRIPTOR
    names = [value.name for value in enum.values if value.number]
    text = '    """The status of a job, by the names of the JSON surface."""\n'
    return "\n".join(["\nclass Status(StrEnum):", text, *(f'    {name} = "{name}"' for name in names), ""])


def operations_table() -> str:
    """Return the table of all operations."""
    lines = ["\nOPERATIONS: dict[str, Operation] = {"]
    for name, request in operations():
        fields = fields_of(request)
        batch = next((field.descriptor.message_type for field in fields if field.rules.batch), None)
        summary = first_sentence(comments().get(request.full_name, ""))
        lines += [f'    "{name}": Operation(', f"        {text_of(summary)},", "        {"]
        for field in fields:
            if field.is_input:
                kind = ", is_many=True" if field.descriptor.is_repeated else ""
                others = [client_name(request.fields_by_name[name]) for name in field.rules.unless.split()]
                kind += f", unless=({', '.join(map(text_of, others))},)" if others and not field.rules.batch else ""
                lines.append(f'            "{field.name}": Input({text_of(field.description)}{kind}),')
        lines += ["        },", f"        {options_name(request)},"]
        lines += [f"        {class_name(batch)},"] if batch is not None else []
        lines += ["    ),"]
    return "\n".join([*lines, "}", ""])


def short_name(enum: EnumDescriptor, name: str) -> str:
    """Return the short name of a value of an enum."""
    number = enum.values_by_name[name].number
    shown = [value for value in enum.values if value.number]
    return short_names(enum)[[value.number for value in shown].index(number)]


def first_sentence(text: str) -> str:
    """Return the text up to the end of its first sentence."""
    return re.split(r"(?<=[.]) (?=[A-Z])", text, maxsplit=1)[0]


def text_of(text: str) -> str:
    """Return a string literal in double quotes."""
    quoted = escaped(text).replace('"', '\\"')
    return f'"{quoted}"'


def escaped(text: str) -> str:
    """Return text in one line, its backslashes doubled."""
    return " ".join(text.split()).replace("\\", "\\\\")


def formatted(code: str) -> str:
    """Return code as ruff formats it."""
    command = [str(Path(sys.executable).parent / "ruff"), "format", "--line-length", "120", "-"]
    done = subprocess.run(command, input=code, stdout=subprocess.PIPE, text=True, check=True)
    return str(done.stdout)


def main() -> None:
    """Write the file."""
    match sys.argv[1:]:
        case ["write", folder]:
            (Path(folder) / OUTPUT).write_text(formatted(render()))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
