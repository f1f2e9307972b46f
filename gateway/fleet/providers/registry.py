"""The providers that there are, by the name that FLEET_PROVIDERS and the records of instances use."""

from typing import Any

from gateway.fleet.providers.base import ProviderFactory
from gateway.fleet.providers.runpod.provider import RUNPOD
from gateway.fleet.providers.vast.provider import VAST

PROVIDERS: dict[str, ProviderFactory[Any]] = {"vast": VAST, "runpod": RUNPOD}
