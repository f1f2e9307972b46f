"""Where settings come from: the environment, the settings file (TOML) beneath it, and files that hold secrets."""

import difflib
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servicekit import secret_files
from servicekit.errors import ConfigError

# Names the settings file; without it there may be one of the default name in the current folder.
FILE_SETTING = "API_GPU_SETTINGS"
DEFAULT_FILE = Path("api-gpu.toml")
MAX_FILE_BYTES = 1024 * 1024
# Settings of one service stand in its table; above the tables are those of whichever service reads the file.
TABLES = ("gateway", "encoder", "up")
ENVIRONMENT = "the environment"


@dataclass(frozen=True)
class GivenValue:
    """A setting as an operator gave it: its text, and where that stands."""

    text: str
    origin: str


@dataclass(frozen=True)
class Layer:
    """The settings of one place, by their names in capitals; of a file, in which table they stand ("": above all)."""

    place: str
    values: Mapping[str, str]
    table: str | None = None

    def find(self, name: str, *, is_secret: bool) -> GivenValue | None:
        """Return a setting, or a secret that a file holds. Raises ConfigError."""
        if not is_secret:
            text = self.values.get(name)
            return GivenValue(text, f"{name} in {self.place}") if text else None
        found = secret_files.choose(name, self.values, self.place)
        if found is None:
            return None
        text = found[1] if found[0] == name else secret_files.read(*found)
        return GivenValue(text, f"{found[0]} in {self.place}")


@dataclass(frozen=True)
class SettingsFile:
    """A settings file, as it was parsed."""

    path: Path
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def find(cls) -> "SettingsFile | None":
        """Read the file that API_GPU_SETTINGS names, or the default one where it is there. Raises ConfigError."""
        given = os.environ.get(FILE_SETTING)
        path = Path(given) if given else DEFAULT_FILE
        if not given and not path.is_file():
            return None
        try:
            data = secret_files.read_start(path, MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise ConfigError(f"{path}: a settings file has {MAX_FILE_BYTES} bytes at most")
            return cls(path, tomllib.loads(data.decode("utf-8-sig")))
        except OSError as error:
            raise ConfigError(f"{FILE_SETTING}={path}: the file cannot be read ({error.strerror})") from error
        except (ValueError, RecursionError) as error:  # of UTF-8 and of TOML, whose texts name the line
            raise ConfigError(f"{path} is no TOML: {error}") from error

    def layers(self, tables: Sequence[str]) -> list[Layer]:
        """Return the settings of some tables, the first goes before the next, and those above all tables. Raises
        ConfigError for what no setting can be."""
        for name, value in self.data.items():
            if isinstance(value, dict) and name not in TABLES:
                raise ConfigError(f"{self.path}: there is no table [{name}]; {_nearest(name, TABLES)}")
        return [*(self._layer(name) for name in tables), self._layer("")]

    def _layer(self, table: str) -> Layer:
        place = f"[{table}] of {self.path}" if table else str(self.path)
        found = self.data.get(table, {}) if table else self._above()
        if not isinstance(found, dict):
            raise ConfigError(f"{self.path}: `{table}` must be a table: [{table}]")
        return Layer(place, dict(_entries(place, found)), table)

    def _above(self) -> dict[str, Any]:
        return {name: value for name, value in self.data.items() if not isinstance(value, dict)}


def layers(tables: Sequence[str]) -> list[Layer]:
    """Return where settings of a service are looked for, the first goes before the next. Raises ConfigError."""
    environment = Layer(ENVIRONMENT, {name.upper(): value for name, value in os.environ.items() if value})
    file = SettingsFile.find()
    return [environment, *(file.layers(tables) if file is not None else ())]


def check_names(layer: Layer, known: Collection[str], service: str) -> None:
    """Raise ConfigError for a name in a file that is none of the service's."""
    for name in layer.values:
        if name not in known:
            text = f"{layer.place}: {name.lower()} is no setting of the {service}"
            raise ConfigError(f"{text}; {_nearest(name.lower(), [each.lower() for each in known])}")


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"the nearest is {near[0]}"


def _entries(place: str, table: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in table.items():
        yield name.upper(), _text(place, name, value)


def _text(place: str, name: str, value: Any) -> str:
    """Return a value as the environment would have it: lists with commas between their parts."""
    if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
        return ",".join(_text(place, name, part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise ConfigError(f"{place}: {name} must be text, a number, true, false, or a list of these")
