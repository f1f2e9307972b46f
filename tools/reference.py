"""Write the parts of the docs that follow from the code: the gRPC API, the command line, the options of operations, a
collection of requests, workflows of n8n.

reference.py write      write the pages
reference.py check      fail when a page is not what the code gives
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from api_gpu.cli.main import app
from gateway.rest.openapi.schemas import comments
from tools import client_options, collection, option_tables, workflows

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "apigpu.v1"
KINDS = {Path: "path", int: "number", float: "number"}
# A command or a parameter of click, a copy of which typer carries in private.
Command = Any


def grpc_page() -> str:
    """Return the page of services, methods and messages of the public API."""
    descriptors = FileDescriptorSet.FromString((ROOT / "gen" / "apigpu" / "descriptors.binpb").read_bytes())
    files = [file for file in descriptors.file if file.package == PACKAGE]
    lines = [
        "# gRPC",
        "",
        "The public API is the package `apigpu.v1` in `protos/`. Calls need TLS, a client certificate (unless",
        "`TLS_REQUIRE_CLIENT_CERT=false`) and the metadata `x-api-key`. Canceling a unary call of `VideoService`, or",
        "letting its deadline pass, cancels its job. [Clients in other languages](../guides/generate-clients.md).",
        "This page is generated from the protos.",
    ]
    lines += [line for file in files for service in file.service for line in _service(service)]
    lines += ["", "## Messages and enums"]
    for file in files:
        lines += [line for message in file.message_type for line in _message(message, message.name)]
        lines += [line for enum in file.enum_type for line in _enum(enum, enum.name)]
    return "\n".join(lines) + "\n"


def _comment(*names: str) -> str:
    """Return the comment of what has this name in the package, in one line of a table."""
    return " ".join(comments().get(".".join((PACKAGE, *names)), "").split()).replace("|", "\\|")


def _service(service: ServiceDescriptorProto) -> Iterator[str]:
    yield from ("", f"## {service.name}", "", _comment(service.name), "")
    yield from ("| method | request → response | HTTP |", "|---|---|---|")
    for method in service.method:
        request = ("stream " if method.client_streaming else "") + _link(method.input_type)
        response = ("stream " if method.server_streaming else "") + _link(method.output_type)
        yield f"| `{method.name}` | {request} → {response} | {', '.join(_bindings(method))} |"
    for method in service.method:
        yield from ("", f"**{method.name}**: {_comment(service.name, method.name)}")


def _bindings(method: MethodDescriptorProto) -> Iterator[str]:
    rule = method.options.Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        kind = binding.WhichOneof("pattern")
        if kind:
            yield f"`{kind.upper()} {getattr(binding, kind)}`"


def _message(message: DescriptorProto, name: str) -> Iterator[str]:
    yield from ("", f"### {name}", "", _comment(name))
    if message.field:
        yield from ("", "| field | type | |", "|---|---|---|")
    for field in message.field:
        yield f"| `{field.name}` | {_type(field, message)} | {_comment(name, field.name)} |"
    for enum in message.enum_type:
        yield from _enum(enum, f"{name}.{enum.name}")
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from _message(nested, f"{name}.{nested.name}")


def _enum(enum: EnumDescriptorProto, name: str) -> Iterator[str]:
    yield from ("", f"### {name}", "", _comment(name), "")
    for value in enum.value:
        yield f"- `{value.name}`: {_comment(name, value.name)}"


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    for entry in message.nested_type:
        if entry.options.map_entry and field.type_name.endswith(f".{message.name}.{entry.name}"):
            return f"map of {_type(entry.field[0], entry)} to {_type(entry.field[1], entry)}"
    repeated = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    return repeated + (_link(field.type_name) if field.type_name else scalar)


def _link(type_name: str) -> str:
    name = type_name.removeprefix(f".{PACKAGE}.")
    if name == type_name:
        return f"`{name.lstrip('.')}`"
    return f"[{name}](#{name.lower().replace('.', '')})"


def command_line_page() -> str:
    """Return the page of commands, their arguments and options."""
    root = typer.main.get_command(app)
    lines = [
        "# Command line",
        "",
        "`api-gpu COMMAND --help` prints the same. Exit codes: 0; 1 a job or a call failed; 2 the command or a setting",
        "is wrong; 130 ended by Ctrl-C. Colors are for terminals alone, and for none with `NO_COLOR`. This page is",
        "generated from the commands.",
        "",
        "Tables are for people on a terminal: with headings, units and local times. A program that reads them gets",
        "lines with tabs, without headings: seconds and bytes as plain numbers, times in UTC; with `--json` all that",
        "is known.",
        "",
        "`api-gpu --install-completion` has bash, zsh, fish or PowerShell, whichever runs it, complete commands,",
        "options and their values from the next shell on; `--show-completion` prints the script. The shell must find",
        "`api-gpu` on its `PATH`.",
        "",
        "## Options of every command",
        "",
        *_parameters(root),
    ]
    lines += [line for name, command in _commands(root, "api-gpu") for line in _command(name, command)]
    return "\n".join(lines) + "\n"


def _commands(group: Command, prefix: str) -> Iterator[tuple[str, Command]]:
    for name, command in getattr(group, "commands", {}).items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _command(name: str, command: Command) -> Iterator[str]:
    arguments = [
        (parameter.metavar or (parameter.name or "").upper()) + ("…" if parameter.nargs == -1 else "")
        for parameter in command.params
        if parameter.param_type_name == "argument"
    ]
    yield from ("", f"## {' '.join((name, *arguments))}", "")
    yield "\n".join(line.strip() for line in (command.help or "").strip().splitlines())
    yield from ("", *_parameters(command))


def _parameters(command: Command) -> Iterator[str]:
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    rows = [option for option in options if not option.hidden and "--help" not in option.opts]
    if rows:
        yield from ("| option | value | |", "|---|---|---|")
    for option in rows:
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        yield f"| {names} | {_value(option)} | {' '.join((option.help or '').split())} |"


def _value(option: Any) -> str:
    """Return what an option takes: its choices, its range, or the kind of value."""
    kind = option.type_descriptor.annotation
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return ", ".join(f"`{choice}`" for choice in choices)
    if option.min is not None:
        return f"{option.min:.12g} to {option.max:.12g}" if option.max is not None else f"from {option.min:.12g}"
    return "" if kind is bool else option.metavar or KINDS.get(kind, "text")


def options_in(page: Path) -> str:
    """Return the page of an operation with the table of its options as the protos have it."""
    request = dict(client_options.operations())[page.stem]
    table = option_tables.table(request).replace("\\", "\\\\")
    return re.sub(r"(<!-- options -->\n).*?(?=<!-- end -->)", rf"\1{table}\n", page.read_text(), flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Return the text of every page that is generated, or has a part that is."""
    reference, operations = ROOT / "docs" / "reference", ROOT / "docs" / "operations"
    written = {reference / "grpc.md": grpc_page(), reference / "command-line.md": command_line_page()}
    written[ROOT / "docs" / "collections" / "api-gpu.postman_collection.json"] = collection.text()
    written |= {ROOT / "docs" / "n8n" / name: text for name, text in workflows.texts().items()}
    known = dict(client_options.operations())
    return written | {page: options_in(page) for page in operations.glob("*.md") if page.stem in known}


def main(mode: str) -> None:
    """Write the pages, or exit with the names of those that are stale."""
    stale = []
    for page, text in pages().items():
        if mode == "write":
            page.parent.mkdir(exist_ok=True)
            page.write_text(text)
        elif not page.exists() or page.read_text() != text:
            stale.append(str(page.relative_to(ROOT)))
    if stale:
        sys.exit(f"these pages are not what the code gives: {', '.join(stale)}; run `make gen`")


if __name__ == "__main__":
    if sys.argv[1:] not in (["write"], ["check"]):
        sys.exit(__doc__)
    main(sys.argv[1])
