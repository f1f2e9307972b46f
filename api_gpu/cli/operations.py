"""The commands of the operations, built from `apigpu.options`: an argument for each input, a flag for each option."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from apigpu.options import OPERATIONS, Input, Operation, Option, Source
from servicekit.spoken_words import plain_words

OUT_HELP = (
    "File to write; where there are several results, a folder; - is standard output. When not given it is named after "
    "the first input."
)
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help=OUT_HELP)]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")]
DRY_RUN_HELP = "Make nothing: print what the job would do and take, and all that is wrong with it."
DryRunOption = Annotated[bool, typer.Option("--dry-run", help=DRY_RUN_HELP)]
SOURCES = "Inputs are local files, URLs that the gateway can reach, or names of assets."
STANDARD_INPUT_HELP = "- is standard input."
COLORS = "A COLOR is '#RRGGBB' or '#RRGGBBAA' (AA is opacity), in quotes."
COLOR_METAVAR, COLOR = "COLOR", re.compile("#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?")
ANY = inspect.Parameter.POSITIONAL_OR_KEYWORD


@dataclass(frozen=True)
class Flag:
    """A flag: the path of its option ("style", "size") and its type; it `is_optional` where None is allowed."""

    path: tuple[str, ...]
    option: Option
    kind: Any
    is_optional: bool

    @property
    def key(self) -> str:
        """Name of the command's parameter."""
        return self.option.flag.replace("-", "_")

    def parameter(self, names: Mapping[str, str]) -> inspect.Parameter:
        """Return the command's parameter, as typer reads it; `names` are what the command calls other options."""
        option, kind, name = self.option, self.kind, f"--{self.option.flag}"
        settings: dict[str, Any] = {"metavar": option.metavar}
        if kind == Source:
            kind, settings = str, {"metavar": "FILE"}
        elif listed_class(kind):
            kind, settings = Path, {"metavar": "FILE", "exists": True, "dir_okay": False}
        elif kind is bool and self.is_optional:
            name = f"{name}/--no-{option.flag}"
        elif kind in (int, float):
            settings = {"min": option.minimum, "max": option.maximum}
        elif option.metavar == COLOR_METAVAR:
            settings["callback"] = check_color
        info = typer.Option(
            name,
            help=re.sub(r"`(\w+)`", lambda found: names.get(found[1], found[1]), option.help),
            show_default=option.default or False,
            rich_help_panel=self.path[0].title() if len(self.path) > 1 else None,
            **settings,
        )
        if self.is_optional:
            return inspect.Parameter(self.key, ANY, default=None, annotation=Annotated[kind | None, info])
        return inspect.Parameter(self.key, ANY, default=False, annotation=Annotated[bool, info])


def flag_parameters(flags: Sequence[Flag], inputs: Iterable[str] = ()) -> list[inspect.Parameter]:
    """Return the parameters of flags of a command, whose arguments are the inputs."""
    # A text names an option of the command first, and one of a group where there is no such option.
    inmost_first = sorted(flags, key=lambda flag: len(flag.path), reverse=True)
    names = {name: name.upper() for name in inputs} | {flag.path[-1]: f"--{flag.option.flag}" for flag in inmost_first}
    return [flag.parameter(names) for flag in flags]


def check_color(value: str | None) -> str | None:
    """Return a color. Raises BadParameter for what is none."""
    if value is not None and not COLOR.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is no color; give one like '#FFCC00', in quotes")
    return value


def listed_class(kind: Any) -> Any:
    """Return the class of the elements of a list type; None for a type of another kind."""
    return get_args(kind)[0] if get_origin(kind) is Iterable else None


def flags_of(owner: type[Any], path: tuple[str, ...] = ()) -> Iterator[Flag]:
    """Yield the flags of a class of options, with those of the dataclasses in it."""
    for name, hint in get_type_hints(owner, include_extras=True).items():
        if get_origin(hint) is not Annotated:  # it is given in another way
            continue
        union, option = get_args(hint)
        kinds = [kind for kind in get_args(union) if kind is not type(None)] or [union]
        kind: Any = Source if len(kinds) > 1 else kinds[0]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from flags_of(kind, (*path, name))
        else:
            yield Flag((*path, name), option, kind, is_optional=kind is not union)


def flags_of_operation(operation: Operation) -> list[Flag]:
    """Return the flags of an operation; those of its items are for all items alike."""
    flags = list(flags_of(operation.options))
    if operation.item:
        known = {flag.path for flag in flags}
        flags = [*(flag for flag in flags_of(operation.item) if flag.path not in known), *flags]
    return flags


def command(name: str) -> Callable[..., None]:
    """Return the command of an operation."""
    operation = OPERATIONS[name]
    flags = flags_of_operation(operation)

    def run(
        context: typer.Context, out: Path | None = None, force: bool = False, dry_run: bool = False, **values: Any
    ) -> None:
        from api_gpu.cli.run import run_operation

        require_inputs(operation, values)
        sources, files = given_files(operation.inputs, flags, values)
        options = options_from(flags, values)
        run_operation(context.obj, name, sources, options, out, files, force=force, dry_run=dry_run)

    colors = [COLORS] if any(flag.option.metavar == COLOR_METAVAR for flag in flags) else []
    run.__doc__ = "\n\n".join([operation.help, "\n".join([SOURCES, STANDARD_INPUT_HELP, *colors])])
    return as_command(run, name, operation.inputs, flags)


def given_files(
    inputs: Iterable[str], flags: Iterable[Flag], values: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Path]]:
    """Return the sources that are given, by their names, and the files that lists of options are read from."""
    sources = {key: values[key] for key in inputs if values[key] is not None}
    sources |= {flag.key: values[flag.key] for flag in flags if flag.kind == Source and values[flag.key]}
    return sources, [values[flag.key] for flag in flags if listed_class(flag.kind) and values[flag.key]]


def as_command(
    run: Callable[..., None], name: str, inputs: Mapping[str, Input], flags: Sequence[Flag]
) -> Callable[..., None]:
    """Return a function with the parameters of a command, as typer reads them: inputs, where to write, and flags."""
    parameters = [
        inspect.Parameter("context", ANY, annotation=typer.Context),
        *(argument(key, each) for key, each in inputs.items()),
        inspect.Parameter("out", ANY, default=None, annotation=OutOption),
        inspect.Parameter("force", ANY, default=False, annotation=ForceOption),
        inspect.Parameter("dry_run", ANY, default=False, annotation=DryRunOption),
        *flag_parameters(flags, inputs),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    run.__name__ = name
    return run


def require_inputs(operation: Operation, values: Mapping[str, Any]) -> None:
    """Raise BadParameter for an input that is missing, where nothing is given in place of it."""
    for key, wanted in operation.inputs.items():
        if values[key] is None and not any(values[name] for name in wanted.unless):
            flags = " or ".join(f"--{name.replace('_', '-')}" for name in wanted.unless)
            raise typer.BadParameter(f"give it, or {flags}", param_hint=key.upper())


def argument(name: str, wanted: Input) -> inspect.Parameter:
    """Return the parameter of an input, as typer reads it."""
    kind = list[str] if wanted.is_many else str
    info = typer.Argument(metavar=name.upper(), help=wanted.help)
    if wanted.unless:
        return inspect.Parameter(name, ANY, default=None, annotation=Annotated[kind | None, info])
    return inspect.Parameter(name, ANY, annotation=Annotated[kind, info])


def options_from(flags: Iterable[Flag], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are given, but for sources, as the client takes them. Raises BadParameter."""
    options: dict[str, Any] = {}
    for flag in flags:
        value = values[flag.key]
        if value is None or (value is False and not flag.is_optional) or flag.kind == Source:
            continue
        group = options
        for name in flag.path[:-1]:
            group = group.setdefault(name, {})
        group[flag.path[-1]] = read_list(flag, value) if listed_class(flag.kind) else value
    require_both_sizes(flags, options)
    return options


def require_both_sizes(flags: Iterable[Flag], options: Mapping[str, Any]) -> None:
    """Raise BadParameter for a width without a height, or the reverse, where the other's default would be taken."""
    sizes = [flag for flag in flags if flag.path in (("width",), ("height",)) and flag.option.default]
    absent = [flag for flag in sizes if flag.path[0] not in options]
    if len(sizes) == 2 and len(absent) == 1:
        raise typer.BadParameter("--width and --height go together", param_hint=f"--{absent[0].option.flag}")


def read_list(flag: Flag, path: Path) -> list[Any]:
    """Return the words of a JSON file, also as speech recognizers write them; unknown keys are ignored. Raises
    BadParameter."""
    kind = listed_class(flag.kind)
    hints = get_type_hints(kind)
    try:
        entries = plain_words(json.loads(path.read_bytes()))
        return [kind(**{each.name: hints[each.name](entry[each.name]) for each in fields(kind)}) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        text = (
            f'{path} must hold a list of {{"text": "Hello", "start": 0.0, "end": 0.4}}, in JSON, or what a speech '
            f"recognizer writes: {error}"
        )
        raise typer.BadParameter(text, param_hint=f"--{flag.option.flag}") from error
