"""Settings of the fleet: limits of rented encoders, and the settings of every provider."""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic.fields import FieldInfo

from gateway.fleet.autoscaler import Policy
from gateway.fleet.providers.base import ProviderSettings
from gateway.fleet.providers.registry import PROVIDERS
from servicekit.config import Cidrs, CommaList, Settings

Seconds = Annotated[float, Field(gt=0)]
# The prefix of instance labels, which are host names too.
FLEET_NAME = r"^[a-z][a-z0-9-]{0,39}$"
# `python -m bench fleet` has the figures behind it.
IDLE_SECONDS = 60.0


def _known(name: str) -> str:
    if name not in PROVIDERS:
        raise ValueError(f"there is no such provider; known are {', '.join(PROVIDERS)}")
    return name


class FleetSettings(Settings):
    """Read the settings of the fleet; docs/reference/settings.md tells of each, as a test holds."""

    tables: ClassVar[tuple[str, ...]] = ("gateway",)

    fleet_name: Annotated[str, Field(pattern=FLEET_NAME)] = "api-gpu"
    fleet_providers: CommaList[Annotated[str, AfterValidator(_known)]] = tuple(PROVIDERS)
    fleet_min: Annotated[int, Field(ge=0)] = 0
    fleet_max: Annotated[int, Field(ge=0)] = 3
    fleet_idle_seconds: Seconds | None = None
    fleet_target_wait_seconds: Seconds = 60.0
    fleet_max_age_seconds: Seconds = 6 * 3600.0
    fleet_start_seconds: Seconds = 600.0
    fleet_max_usd_per_hour: Annotated[float, Field(gt=0)] | None = None
    fleet_max_usd_per_day: Annotated[float, Field(gt=0)] | None = None
    fleet_gateway_ips: Cidrs = ()

    @model_validator(mode="after")
    def _read_providers(self) -> Self:
        _ = self.providers
        return self

    @cached_property
    def providers(self) -> dict[str, ProviderSettings]:
        """Return the settings of every known provider. Raise ConfigError."""
        return {name: settings.load() for name, settings in PROVIDERS.items()}

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Return the environment variables, those of the providers included."""
        return super().variables() | {
            name: field for settings in PROVIDERS.values() for name, field in settings.variables().items()
        }

    def values_by_variable(self) -> dict[str, Any]:
        """Return the values by the names of variables, those of the providers included."""
        found = super().values_by_variable()
        for settings in self.providers.values():
            found |= settings.values_by_variable()
        return found

    @property
    def policy(self) -> Policy:
        """Return the limits of the autoscaler. The idle time defaults to that of a configured serverless endpoint."""
        endpoints = [settings.endpoint for settings in self.providers.values() if settings.is_configured]
        idle_seconds = next((float(endpoint.idle_seconds) for endpoint in endpoints if endpoint), IDLE_SECONDS)
        return Policy(
            minimum=self.fleet_min,
            maximum=self.fleet_max,
            idle_seconds=self.fleet_idle_seconds or idle_seconds,
            target_wait_seconds=self.fleet_target_wait_seconds,
            max_age_seconds=self.fleet_max_age_seconds,
            max_usd_per_hour=self.fleet_max_usd_per_hour,
            max_usd_per_day=self.fleet_max_usd_per_day,
        )
