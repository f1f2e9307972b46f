"""Settings: the environment, read once into a frozen object. A bad value stops the start with its name and value."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from servicekit.errors import ConfigError as ConfigError

Network = IPv4Network | IPv6Network
T = TypeVar("T")


def _split(value: object) -> object:
    """Split text at its commas; leave anything else to pydantic."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _networks(value: object) -> object:
    """Parse CIDRs and single addresses with commas between them; host bits may be set."""
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())


# Lists in an environment variable, with commas between the parts: `CommaList[str] = ("a", "b")`.
CommaList = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_split)]
Cidrs = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]


class Settings(BaseSettings):
    """Base of a service's settings. A field's environment variable is its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False, env_ignore_empty=True)

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment; `values` win over it. Raises ConfigError."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(_described(item) for item in error.errors())) from error


def _described(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"]).upper() or "settings"
    if error["type"] == "missing":
        return f"{name} is not set and has no default"
    shown = "(hidden)" if any(word in name for word in ("KEY", "TOKEN", "SECRET", "BUNDLE")) else repr(error["input"])
    return f"{name}={shown}: {error['msg']}"
