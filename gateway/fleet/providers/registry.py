"""The providers: the settings of each, by the name that FLEET_PROVIDERS and the records of instances use."""

from gateway.fleet.providers.base import ProviderSettings
from gateway.fleet.providers.runpod.provider import RunpodSettings
from gateway.fleet.providers.vast.provider import VastSettings

PROVIDERS: dict[str, type[ProviderSettings]] = {"vast": VastSettings, "runpod": RunpodSettings}
