"""Settings of Vast.ai."""

from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.fleet.providers.base import HTTPS, ProviderSettings
from servicekit.config import CommaList


class VastSettings(ProviderSettings):
    """Read the settings of Vast.ai; docs/reference/settings.md tells of each, as a test holds."""

    model_config = SettingsConfigDict(env_prefix="VAST_")

    api_key: SecretStr = SecretStr("")
    worker_image: Annotated[str, Field(validate_default=True)] = ""
    image_gb: Annotated[float, Field(gt=0)] = 1.0
    url: Annotated[str, Field(pattern=HTTPS)] = "https://console.vast.ai"
    gpus: CommaList[str] = ()
    max_usd_per_hour: Annotated[float, Field(gt=0)] = 0.5
    min_reliability: Annotated[float, Field(ge=0, le=1)] = 0.98
    min_down_mbps: Annotated[float, Field(ge=0)] = 200.0
    min_up_mbps: Annotated[float, Field(ge=0)] = 100.0
    disk_gb: Annotated[float, Field(ge=8)] = 20.0
    slots: Annotated[int, Field(ge=1, le=64)] = 3

    @field_validator("worker_image")
    @classmethod
    def _has_image(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("api_key", SecretStr("")).get_secret_value():
            raise ValueError("give the encoder's image, as VAST_API_KEY is set")
        return value

    @property
    def is_configured(self) -> bool:
        """Whether machines can be rented."""
        return bool(self.api_key.get_secret_value())
