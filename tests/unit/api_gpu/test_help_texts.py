"""Help texts are for users: none speaks of how the program is made."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from api_gpu.cli.main import app

INNER = re.compile(r"Raises?\b|typer|\bRaise\b|Error\b|BadParameter|`\w+\(|:param|Returns?\b|\bNone\b")


def texts(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield each help text below a command, with where it stands."""
    yield name, command.help or ""
    for parameter in command.params:
        yield f"{name} {parameter.name}", getattr(parameter, "help", None) or ""
    for each, found in getattr(command, "commands", {}).items():
        yield from texts(found, f"{name} {each}")


ALL = dict(texts(typer.main.get_command(app), "api-gpu"))


def test_no_help_text_speaks_of_the_inside() -> None:
    assert {name: text for name, text in ALL.items() if INNER.search(text)} == {}


def options_in_vain(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield options that a help text names and its command does not have, with where the text stands."""
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for parameter in command.params:
        text = getattr(parameter, "help", None) or ""
        yield from ((f"{name} {parameter.name}", word) for word in re.findall(r"--\w[\w-]*", text) if word not in own)
    for each, found in getattr(command, "commands", {}).items():
        yield from options_in_vain(found, f"{name} {each}")


def test_help_texts_name_options_that_there_are() -> None:
    assert list(options_in_vain(typer.main.get_command(app), "api-gpu")) == []


def test_help_texts_name_arguments_as_the_usage_does() -> None:
    assert "of any kind that SUBTITLES takes" in ALL["api-gpu caption srt_text"]
    assert "of any kind that --srt takes" in ALL["api-gpu story srt_text"]


def test_no_option_is_told_by_itself() -> None:
    for command in ("caption", "story", "frame caption"):
        assert "or of --font." in ALL[f"api-gpu {command} font_family"]


def test_every_command_has_a_help_text() -> None:
    assert [name for name, text in ALL.items() if not text and " " not in name.removeprefix("api-gpu ")] == []
    assert len(ALL) > 50


def own_and_of_groups(command: Any, name: str, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Yield options that a command has and a group that it is in too: there they would be told twice."""
    own = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    yield from ((name, option) for option in sorted(own & above) if option != "--help")
    for each, found in getattr(command, "commands", {}).items():
        yield from own_and_of_groups(found, f"{name} {each}", above | own)


def test_no_option_is_told_of_a_group_and_of_its_command() -> None:
    assert list(own_and_of_groups(typer.main.get_command(app), "api-gpu")) == []
