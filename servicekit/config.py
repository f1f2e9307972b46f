"""Settings: the environment, read once into a frozen object. A bad value stops the start with its name and value."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from servicekit.errors import ConfigError as ConfigError

Network = IPv4Network | IPv6Network
T = TypeVar("T")


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


class Settings(BaseSettings):
    """Base of a service's settings. A field's environment variable is its name in capitals, after `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=False, env_ignore_empty=True)

    @classmethod
    def load(cls, **values: Any) -> Self:
        """Read the environment; `values` take precedence. Raises ConfigError."""
        try:
            return cls(**values)
        except ValidationError as error:
            prefix = cls.model_config.get("env_prefix", "")
            raise ConfigError("; ".join(_describe(item, prefix) for item in error.errors())) from error

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Return the environment variables that are read, with their fields."""
        prefix = cls.model_config.get("env_prefix", "")
        return {f"{prefix}{name}".upper(): field for name, field in cls.model_fields.items()}


def _describe(error: Any, prefix: str) -> str:
    name = prefix + ".".join(str(part) for part in error["loc"]).upper() or "settings"
    if error["type"] == "missing":
        return f"{name} is not set and has no default"
    is_secret = any(word in name for word in ("KEY", "TOKEN", "SECRET", "BUNDLE"))
    return f"{name}={'(hidden)' if is_secret else repr(error['input'])}: {error['msg']}"
