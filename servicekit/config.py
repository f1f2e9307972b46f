"""Settings: the environment and a settings file, read once into a frozen object. A bad value stops the start with its
name and value."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from servicekit import secret_files, setting_sources
from servicekit.errors import ConfigError as ConfigError
from servicekit.setting_sources import GivenValue

Network = IPv4Network | IPv6Network
T = TypeVar("T")
MASK = "********"
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


# Marks a setting whose value may hold a secret among other things, as a URL with a password does.
HOLDS_SECRET = "holds a secret"


def _split(value: Any) -> Any:
    """Split text at its commas; leave anything else to pydantic."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _networks(value: Any) -> Any:
    """Parse CIDRs and single addresses with commas between them; host bits may be set."""
    parts = _split(value)
    return tuple(ip_network(part, strict=False) for part in parts) if isinstance(value, str) else value


# Lists in an environment variable, with commas between the parts: `CommaList[str] = ("a", "b")`.
CommaList = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split)]
Cidrs = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]

# 0 serves nothing.
PortOrNone = Annotated[int, Field(ge=0, le=65535)]

# The secret between gateway and encoder: SESSION_TOKEN, or GPU_API_KEY, its name in the system that came before.
SessionToken = Annotated[SecretStr, Field(validation_alias=AliasChoices("session_token", "gpu_api_key"))]


@dataclass(frozen=True)
class Fallback:
    """Annotates a setting that must be told apart where it is not given: what holds then."""

    value: int


@dataclass(frozen=True)
class SettingInForce:
    """A setting as it is in force, without the secrets in it, and where that stands ("default": nowhere)."""

    name: str
    value: str
    origin: str


class Settings(BaseSettings):
    """Base of a service's settings. A field's environment variable is its name in capitals, after `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")
    # The tables of the settings file that they are read from, and those that may hold no others ("": above all tables).
    tables: ClassVar[tuple[str, ...]] = ()
    own_tables: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read environment and settings file; `values` take precedence. Raises ConfigError."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(cls._describe(item) for item in error.errors())) from error

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Return the environment variables that are read, with their fields."""
        return {cls._variable(name): field for name, field in cls.model_fields.items()}

    @classmethod
    def given(cls) -> dict[str, GivenValue]:
        """Return what is given, by the names of variables. Raises ConfigError."""
        layers, found = setting_sources.layers(cls.tables), {}
        for layer in layers:
            if layer.table in cls.own_tables:
                setting_sources.check_names(layer, set(cls._names()), cls.tables[0])
        for name, field in cls.variables().items():
            tries = ((layer, each) for layer in layers for each in _aliases(name, field))
            values = (layer.find(each, is_secret=is_secret(field)) for layer, each in tries)
            if (value := next(filter(None, values), None)) is not None:
                found[name] = value
        return found

    @classmethod
    def report(cls) -> dict[str, Any]:
        """Return all settings as they are in force, as they are given where they cannot be used, and why that is ("":
        they can)."""
        rows, problem, shown, given = [], "", {}, {}
        try:
            given = cls.given()
            shown = cls.load().values_by_variable()
        except ConfigError as error:
            problem = str(error)
        for name, field in cls.variables().items():
            value = given[name].text if name in given else None if field.is_required() else field.get_default()
            origin = given[name].origin if name in given else "default"
            value = _or_fallback(shown.get(name, value), field)
            rows.append(asdict(SettingInForce(name, _shown(value, field), origin)))
        return {"settings": rows, "problem": problem}

    def values_by_variable(self) -> dict[str, Any]:
        """Return the values by the names of variables."""
        return {self._variable(name): getattr(self, name) for name in type(self).model_fields}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, GivenSettings(settings_cls)

    @classmethod
    def _variable(cls, name: str) -> str:
        return f"{cls.model_config.get('env_prefix', '')}{name}".upper()

    @classmethod
    def _describe(cls, error: Any) -> str:
        """Return in words what is wrong with a setting, without secrets."""
        places = [str(part) for part in error["loc"]]
        name = cls._variable(".".join(places)) or "settings"
        if error["type"] == "missing":
            return f"{name} is not set and has no default"
        fields = {each: field for known, field in cls.variables().items() for each in _aliases(known, field)}
        field = fields.get(cls._variable(places[0])) if places else None
        is_hidden = field is None or _is_all_secret(field)
        shown = "(hidden)" if is_hidden else _CREDENTIALS.sub(f"{MASK}@", repr(error["input"]))
        return f"{name}={shown}: {error['msg']}"

    @classmethod
    def _names(cls) -> Iterator[str]:
        for name, field in cls.variables().items():
            for each in _aliases(name, field):
                yield from (each, each + secret_files.SUFFIX) if is_secret(field) else (each,)


def print_report(settings: type[Settings]) -> int:
    """Print the settings that are in force as JSON; return the exit code: 2 where they cannot be used."""
    found = settings.report()
    print(json.dumps(found, indent=2))
    return 2 if found["problem"] else 0


class GivenSettings(PydanticBaseSettingsSource):
    """What is given of the settings of a class, for pydantic."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # all are found at once

    def __call__(self) -> dict[str, Any]:
        cls: type[Settings] = self.settings_cls  # type: ignore[assignment]
        given = cls.given()
        named = ((cls._variable(name), name, field) for name, field in cls.model_fields.items())
        return {_key(name, field): given[variable].text for variable, name, field in named if variable in given}


def is_secret(field: FieldInfo) -> bool:
    """Return True for a setting that is a secret, or may hold one."""
    return HOLDS_SECRET in field.metadata or _is_all_secret(field)


def _is_all_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _aliases(name: str, field: FieldInfo) -> list[str]:
    choices = field.validation_alias
    return [str(each).upper() for each in choices.choices] if isinstance(choices, AliasChoices) else [name]


def _key(name: str, field: FieldInfo) -> str:
    """Return the name by which pydantic takes a field."""
    return _aliases(name, field)[0].lower() if field.validation_alias else name


def _or_fallback(value: Any, field: FieldInfo) -> Any:
    fallbacks = (each.value for each in field.metadata if isinstance(each, Fallback))
    return next(fallbacks, value) if value is None else value


def _shown(value: Any, field: FieldInfo) -> str:
    """Return a value in words, without secrets."""
    if _is_all_secret(field):
        return MASK if value else ""  # as an empty SecretStr is false
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else _CREDENTIALS.sub(f"{MASK}@", str(value))
