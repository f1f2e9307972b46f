"""The gateway's settings for encoders that it rents."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from gateway.fleet.autoscaler import Policy
from servicekit.config import Cidrs, CommaList, Settings

Seconds = Annotated[float, Field(gt=0)]
# A machine's label begins with it, and is a host name too.
FLEET_NAME = r"^[a-z][a-z0-9-]{0,39}$"
# Keys go by it: in the clear on this machine at most.
HTTPS = r"^(https://|http://(127\.0\.0\.1|localhost)(:|/|$))"
# `python -m bench fleet` has the figures behind it.
IDLE_SECONDS = 60.0


class FleetSettings(Settings):
    """See the settings table in README.md; a test holds the two together."""

    fleet_name: Annotated[str, Field(pattern=FLEET_NAME)] = "api-gpu"
    fleet_providers: CommaList[Literal["vast", "runpod"]] = ("vast", "runpod")
    fleet_min: Annotated[int, Field(ge=0)] = 0
    fleet_max: Annotated[int, Field(ge=0)] = 3
    fleet_idle_seconds: Seconds | None = None
    fleet_target_wait_seconds: Seconds = 60.0
    fleet_max_age_seconds: Seconds = 6 * 3600.0
    fleet_start_seconds: Seconds = 600.0
    fleet_max_usd_per_hour: Annotated[float, Field(gt=0)] | None = None
    fleet_max_usd_per_day: Annotated[float, Field(gt=0)] | None = None
    fleet_gateway_ips: Cidrs = ()

    runpod_api_key: SecretStr = SecretStr("")
    runpod_endpoint_id: str = ""
    runpod_url: Annotated[str, Field(pattern=HTTPS)] = "https://api.runpod.ai/v2"
    runpod_rest_url: Annotated[str, Field(pattern=HTTPS)] = "https://rest.runpod.io/v1"
    runpod_idle_timeout: Annotated[int, Field(ge=1)] = 300
    runpod_max_timeout: Annotated[int, Field(ge=5)] = 600
    runpod_usd_per_second: Annotated[float, Field(ge=0)] = 0.00019
    runpod_max_workers: Annotated[int, Field(ge=1)] = 3
    runpod_slots: Annotated[int, Field(ge=1, le=64)] = 3

    vast_api_key: SecretStr = SecretStr("")
    vast_worker_image: Annotated[str, Field(validate_default=True)] = ""
    vast_image_gb: Annotated[float, Field(gt=0)] = 1.0
    vast_url: Annotated[str, Field(pattern=HTTPS)] = "https://console.vast.ai"
    vast_gpus: CommaList[str] = ()
    vast_max_usd_per_hour: Annotated[float, Field(gt=0)] = 0.5
    vast_min_reliability: Annotated[float, Field(ge=0, le=1)] = 0.98
    vast_min_down_mbps: Annotated[float, Field(ge=0)] = 200.0
    vast_min_up_mbps: Annotated[float, Field(ge=0)] = 100.0
    vast_disk_gb: Annotated[float, Field(ge=8)] = 20.0
    vast_slots: Annotated[int, Field(ge=1, le=64)] = 3

    @field_validator("vast_worker_image")
    @classmethod
    def _an_image_to_rent_for(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("vast_api_key", SecretStr("")).get_secret_value():
            raise ValueError("give the encoder's image, as VAST_API_KEY is set")
        return value

    @property
    def has_runpod(self) -> bool:
        """Whether a RunPod endpoint is set up."""
        return bool(self.runpod_endpoint_id and self.runpod_api_key.get_secret_value())

    @property
    def has_vast(self) -> bool:
        """Whether machines can be rented at Vast.ai."""
        return bool(self.vast_api_key.get_secret_value())

    @property
    def policy(self) -> Policy:
        """What may be rented and spent. Where no idle time is set, that of the RunPod endpoint holds, where one is."""
        idle_seconds = float(self.runpod_idle_timeout) if self.has_runpod else IDLE_SECONDS
        return Policy(
            minimum=self.fleet_min,
            maximum=self.fleet_max,
            idle_seconds=self.fleet_idle_seconds or idle_seconds,
            target_wait_seconds=self.fleet_target_wait_seconds,
            max_age_seconds=self.fleet_max_age_seconds,
            max_usd_per_hour=self.fleet_max_usd_per_hour,
            max_usd_per_day=self.fleet_max_usd_per_day,
        )
