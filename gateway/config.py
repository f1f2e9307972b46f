"""The gateway's settings. Every field is an environment variable of the same name in capitals."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from gateway.assets.bucket import CLOUDS
from gateway.fleet.settings import FleetSettings, Seconds
from gateway.webhooks.signing import check_secret
from gateway.workers.static import EncoderName
from servicekit.config import HOLDS_SECRET, Cidrs, CommaList, ConfigError, Fallback, PortOrNone, SessionToken

DAY_SECONDS = 86_400.0
GIB = 1024**3

METRICS_PORT = 9464
Port = Annotated[int, Field(ge=0, le=65535)]


def split_secrets(value: SecretStr) -> tuple[str, ...]:
    """Return the secrets of a setting that takes several."""
    return tuple(part.strip() for part in value.get_secret_value().split(",") if part.strip())


class GatewaySettings(FleetSettings):
    """Read the settings of the gateway; docs/reference/settings.md tells of each, as a test holds."""

    own_tables: ClassVar[tuple[str, ...]] = ("gateway", "")

    host: str = "0.0.0.0"
    port: Port = 3000
    grpc_port: Port = 50051
    health_port: Port = 50053
    metrics_port: Annotated[PortOrNone | None, Fallback(METRICS_PORT)] = None
    public_url: str = ""
    x_api_key: SecretStr
    admin_api_key: SecretStr = SecretStr("")
    key_pepper: SecretStr = SecretStr("")
    data_dir: Path = Path(".api-gpu")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    logs_dir: Path = Path("logs")
    cors_allow_origins: CommaList[str] = ("*",)

    tls_cert: Path = Path(".api-gpu/certs/gateway.crt")
    tls_key: Path = Path(".api-gpu/certs/gateway.key")
    tls_client_ca: Path = Path(".api-gpu/certs/client-ca.crt")
    tls_require_client_cert: bool = True

    encoders: CommaList[str] = ("127.0.0.1:50052",)
    encoder_ca: Path = Path(".api-gpu/certs/ca.crt")
    session_token: SessionToken = SecretStr("")

    nats_url: Annotated[str, HOLDS_SECRET] = ""
    nats_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    nats_connect_seconds: Seconds = 10.0
    ack_wait_seconds: Annotated[float, Field(ge=1)] = 10.0
    job_retention_seconds: Seconds = 7 * DAY_SECONDS
    task_attempts: Annotated[int, Field(ge=1)] = 3
    task_retry_seconds: Annotated[float, Field(ge=0)] = 3600.0
    max_task_seconds: Seconds = 3600.0
    max_queued_tasks: Annotated[int, Field(ge=1)] = 100_000
    max_batch_items: Annotated[int, Field(ge=1, le=1000)] = 500

    assets_url: str = ""
    bucket_links: bool = False
    asset_retention_seconds: Seconds = 7 * DAY_SECONDS
    upload_expire_seconds: Seconds = DAY_SECONDS
    max_open_uploads: Annotated[int, Field(ge=1)] = 1000
    max_asset_bytes: Annotated[int, Field(ge=1)] = 8 * GIB
    min_free_bytes: Annotated[int, Field(ge=0)] | None = None
    link_ttl_seconds: Seconds = DAY_SECONDS
    link_secret: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    credentials_secret: SecretStr = SecretStr("")

    fetch_allow_cidrs: Cidrs = ()
    fetch_connect_seconds: Seconds = 10.0
    fetch_idle_seconds: Seconds = 30.0
    fetch_total_seconds: Seconds = 1800.0
    fetch_min_bytes_per_second: Annotated[float, Field(ge=0)] = 1024.0

    max_call_seconds: Seconds = 4 * 3600.0
    max_concurrent_calls: Annotated[int, Field(ge=1)] = 1000
    max_transfers: Annotated[int, Field(ge=1)] = 64
    rate_limit_per_minute: Annotated[int, Field(ge=0)] = 6000
    drain_seconds: Annotated[float, Field(ge=0)] = 25.0

    @field_validator("encoders")
    @classmethod
    def _check_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            EncoderName.parse(address)
        return value

    @field_validator("x_api_key")
    @classmethod
    def _check_keys(cls, value: SecretStr) -> SecretStr:
        if not all(key.strip() for key in value.get_secret_value().split(",")):
            raise ValueError("give one key, or several with commas between them; no empty ones")
        return value

    @field_validator("link_secret", "admin_api_key", "key_pepper", "credentials_secret")
    @classmethod
    def _check_secret(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        given = split_secrets(value) if info.field_name == "credentials_secret" else [value.get_secret_value()]
        if any(0 < len(secret) < 16 for secret in given):
            raise ValueError("give 16 characters or more")
        return value

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secrets(cls, value: SecretStr) -> SecretStr:
        for secret in split_secrets(value):
            check_secret(secret)
        return value

    @model_validator(mode="after")
    def _require_public_url(self) -> Self:
        for name, settings in self.providers.items():
            if not self.public_url and settings.endpoint and settings.endpoint.endpoint_id:
                text = f"workers of {name} fetch and put files by link: set it to where they reach PORT"
                raise ConfigError(f"PUBLIC_URL='': {text}")
        return self

    @model_validator(mode="after")
    def _require_bucket(self) -> Self:
        if self.bucket_links and not self.assets_url.startswith(CLOUDS):
            raise ConfigError(f"BUCKET_LINKS=true: ASSETS_URL must be one of {', '.join(CLOUDS)}, which make links")
        return self

    @property
    def api_keys(self) -> tuple[str, ...]:
        return tuple(key.strip() for key in self.x_api_key.get_secret_value().split(","))

    @property
    def admin_keys(self) -> tuple[str, ...]:
        return split_secrets(self.admin_api_key)

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        return split_secrets(self.webhook_secret)

    @property
    def assets_location(self) -> str:
        """Return the location of assets: ASSETS_URL, or a folder in DATA_DIR."""
        return self.assets_url or str(self.data_dir / "assets")
