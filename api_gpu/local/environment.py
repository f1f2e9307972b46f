"""The environments of the two services on one machine: the gateway, which the operator sets up by it, has all of ours;
the encoder, which works on files of strangers, its own settings alone."""

import os

from api_gpu.local.data_dir import DataDir
from servicekit.process import child_environment

# The settings of the encoder, as a test holds: no keys of clients, clouds or providers are among them.
ENCODER_SETTINGS = (
    "ALLOWED_IPS",
    "BATCH_SIZE",
    "CODEC",
    "CODEC_RETRY_SECONDS",
    "CRF",
    "DRAIN_SECONDS",
    "FFMPEG_BINARY",
    "FONTS_DIR",
    "HEALTH_PORT",
    "HOST",
    "IDLE_EXIT_SECONDS",
    "LOGS_DIR",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAX_DURATION_SECONDS",
    "MAX_INPUT_BYTES",
    "MAX_MEMORY_BYTES",
    "MAX_RESULT_BYTES",
    "MAX_TASK_SECONDS",
    "METRICS_PORT",
    "MIN_FREE_BYTES",
    "NVDEC",
    "NVENC_AT_LIMIT",
    "NVENC_B_FRAMES",
    "NVENC_CQ",
    "NVENC_FORMAT",
    "NVENC_LOOKAHEAD",
    "NVENC_PRESET",
    "OUTPUT_DIR",
    "PORT",
    "SANDBOX",
    "SESSION_TOKEN",
    "TLS_BUNDLE",
    "TLS_CA",
    "TLS_CERT",
    "TLS_KEY",
    "WORK_DIR",
    "X264_PRESET",
)
# SESSION_TOKEN's name in the system that came before, files that hold its secrets, the settings file, and where it
# sends traces.
OTHER_NAMES = ("GPU_API_KEY", "GPU_API_KEY_FILE", "SESSION_TOKEN_FILE", "TLS_BUNDLE_FILE", "API_GPU_SETTINGS", "OTEL_*")


def gateway_environment(folder: DataDir, **settings: str) -> dict[str, str]:
    """Return the environment of a gateway in `folder`; `settings` and the certificates there win over our own."""
    certificates = folder.certificates
    own = {
        "DATA_DIR": str(folder.root),
        "TLS_CERT": str(certificates / "gateway.crt"),
        "TLS_KEY": str(certificates / "gateway.key"),
        "TLS_CLIENT_CA": str(certificates / "client-ca.crt"),
        "ENCODER_CA": str(certificates / "ca.crt"),
    }
    given = own | settings
    # A secret that is set here, of whatever source, is not to be read of its file too.
    inherited = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in given}
    return inherited | given


def encoder_environment(folder: DataDir, **settings: str) -> dict[str, str]:
    """Return the environment of an encoder in `folder`; `settings` and the certificates there win over our own."""
    certificates = folder.certificates
    own = {
        "TLS_CERT": str(certificates / "encoder.crt"),
        "TLS_KEY": str(certificates / "encoder.key"),
        "TLS_CA": str(certificates / "ca.crt"),
    }
    return inherited_by_encoders() | own | settings


def inherited_by_encoders() -> dict[str, str]:
    """Return what an encoder gets of our environment: its settings, and what every program needs."""
    return child_environment(*ENCODER_SETTINGS, *OTHER_NAMES, "GRPC_*")
