"""Settings: the environment, read once into a frozen object. A bad value stops the start with its name and value."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
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

# The secret between gateway and encoder: SESSION_TOKEN, or GPU_API_KEY, its name in the system that came before.
SessionToken = Annotated[SecretStr, Field(validation_alias=AliasChoices("session_token", "gpu_api_key"))]


class Settings(BaseSettings):
    """Base of a service's settings. A field's environment variable is its name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False, env_ignore_empty=True)

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment; `values` take precedence. Raises ConfigError."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(map(_describe, error.errors()))) from error


def _describe(error: Any) -> str:
    name = ".".join(str(part) for part in error["loc"]).upper() or "settings"
    if error["type"] == "missing":
        return f"{name} is not set and has no default"
    is_secret = any(word in name for word in ("KEY", "TOKEN", "SECRET", "BUNDLE"))
    return f"{name}={'(hidden)' if is_secret else repr(error['input'])}: {error['msg']}"
