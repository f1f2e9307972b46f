"""The reference of all options as tables in Markdown, from the protos."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor

from tools.client_options import Field


def table(request: Descriptor) -> str:
    """Return the options of one request as a table in Markdown."""
    heading = ("JSON", "Python", "Command line", "Values", "Default", "Meaning")
    rows = [heading, ("---",) * len(heading), *rows_of(request, "", "")]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def rows_of(message: Descriptor, path: str, python_path: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a message's fields, those of the messages in it in place of the message."""
    for field in map(Field, message.fields):
        json_path, name = path + field.descriptor.name, python_path + field.name
        inner: Any = field.descriptor.message_type
        own = ("", "") if field.client.hidden else (f"`{name}`", f"`{flag_text(field)}`")
        if field.rules.partial:  # a page of its own tells of it
            yield (
                f"`{json_path}`",
                f"`{name}`",
                f"`{name} …`",
                f"as [{name}]({name}.md#options)",
                "",
                field.description,
            )
            continue
        if inner is None or field.descriptor.is_repeated:
            yield (f"`{json_path}`", *own, values(field), field.default, field.description)
        if inner is not None and field.descriptor.is_repeated:
            yield from (no_flag(row) for row in rows_of(inner, f"{json_path}[].", f"{name}[]."))
        elif inner is not None:
            yield from rows_of(inner, f"{json_path}.", f"{name}.")


def flag_text(field: Field) -> str:
    """Return how a field is written on the command line."""
    if field.is_input:
        return field.name.upper()
    can_be_denied = field.type_name == "bool" and field.descriptor.has_presence
    return f"--{field.flag}/--no-{field.flag}" if can_be_denied else f"--{field.flag}"


def no_flag(row: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row without its flag."""
    return (*row[:2], "", *row[3:])


def values(field: Field) -> str:
    """Return what a field may be, in words."""
    if field.descriptor.message_type is not None:
        return "list"
    if field.choices:
        return ", ".join(f"`{choice}`" for choice in field.choices)
    if field.rules.HasField("min"):
        high = f" to {field.rules.max:.0f}" if field.rules.HasField("max") else " or more"
        return f"{field.rules.min:g}{high}"
    if field.description.startswith("Color "):
        return "color"
    return {"bool": "true, false", "str": "text", "Source": "source"}.get(field.type_name, field.type_name)
