"""Settings of the encoder: one environment variable each, named like the field in capitals."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from encoder.codecs import AUTO, CODECS
from encoder.codecs.base import PRESETS as X264_PRESETS
from encoder.codecs.nvenc.request import FORMATS as NVENC_FORMATS
from encoder.codecs.nvenc.request import MAX_B_FRAMES, MAX_CQ, MAX_LOOKAHEAD
from encoder.codecs.nvenc.request import PRESETS as NVENC_PRESETS
from encoder.sandbox.sandboxes import AUTO as AUTO_SANDBOX
from encoder.sandbox.sandboxes import SANDBOXES
from servicekit.config import Cidrs, Fallback, PortOrNone, SessionToken, Settings
from servicekit.logs import AUTO as AUTO_FORMAT
from servicekit.logs import FORMATS, LEVELS
from servicekit.server_tls import ReloadingIdentity
from servicekit.tls import Identity, IdentityFiles

WAIT, X264 = "wait", "x264"

METRICS_PORT = 9465


def one_of(*known: str) -> AfterValidator:
    """Return a validator that takes only these values."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return AfterValidator(check)


class EncoderSettings(Settings):
    """The settings of an encoder. Every value is checked at the start."""

    tables: ClassVar[tuple[str, ...]] = ("encoder",)
    own_tables: ClassVar[tuple[str, ...]] = ("encoder", "")

    host: str = "0.0.0.0"
    port: int = Field(50052, ge=0, le=65535)
    health_port: int = Field(50054, ge=0, le=65535)
    metrics_port: Annotated[PortOrNone | None, Fallback(METRICS_PORT)] = None
    tls_cert: Path = Path(".api-gpu/certs/encoder.crt")
    tls_key: Path = Path(".api-gpu/certs/encoder.key")
    tls_ca: Path = Path(".api-gpu/certs/ca.crt")
    # The three in one, for machines that are given no files; see servicekit/tls.py.
    tls_bundle: SecretStr = SecretStr("")
    # CIDRs that may connect; empty lets any address try.
    allowed_ips: Cidrs = ()
    session_token: SessionToken = SecretStr("")

    work_dir: Path = Path(".api-gpu/work")
    # Where results are made before they are streamed; inside the task's work folder when not set.
    output_dir: Path | None = None
    # Bytes of the disks of both that stay free; by default a twentieth, 512 MiB at most.
    min_free_bytes: Annotated[int, Field(ge=0)] | None = None
    logs_dir: Path = Path("logs")
    log_level: Annotated[str, BeforeValidator(str.lower), one_of(*LEVELS)] = "info"
    log_format: Annotated[str, BeforeValidator(str.lower), one_of(*FORMATS)] = AUTO_FORMAT

    batch_size: int = Field(3, ge=1, le=64)
    max_input_bytes: int = Field(8 * 1024**3, ge=1)
    max_duration_seconds: float = Field(4 * 3600.0, gt=0)
    max_task_seconds: float = Field(3600.0, gt=0)
    drain_seconds: float = Field(30.0, ge=0)
    # Ends by itself when no gateway has called for so long; 0: never. For machines whose rent runs on.
    idle_exit_seconds: float = Field(0.0, ge=0)

    ffmpeg_binary: Path | None = None
    sandbox: Annotated[str, one_of(AUTO_SANDBOX, *SANDBOXES)] = AUTO_SANDBOX
    # Address space of one FFmpeg, and the largest file that it may write.
    max_memory_bytes: int = Field(16 * 1024**3, ge=256 * 1024**2)
    max_result_bytes: int = Field(32 * 1024**3, ge=1)
    # More fonts for captions, beside the bundled ones.
    fonts_dir: Path | None = None
    codec: Annotated[str, one_of(AUTO, *CODECS)] = AUTO
    x264_preset: Annotated[str, one_of(*X264_PRESETS)] = "veryfast"
    crf: int = Field(23, ge=0, le=51)
    nvenc_format: Annotated[str, one_of(*NVENC_FORMATS)] = "h264"
    nvenc_preset: Annotated[str, one_of(*NVENC_PRESETS)] = "P4"
    nvenc_cq: int = Field(23, ge=1, le=63)
    nvenc_b_frames: int = Field(2, ge=0, le=MAX_B_FRAMES)
    nvenc_lookahead: int = Field(0, ge=0, le=MAX_LOOKAHEAD)
    # The card decodes too.
    nvdec: bool = False
    # What a task does when the card has no session more to give.
    nvenc_at_limit: Annotated[str, one_of(WAIT, X264)] = WAIT
    # Before a codec that did not work at the start is tried anew; pauses grow from there.
    codec_retry_seconds: float = Field(30.0, gt=0)

    @field_validator("nvenc_cq")
    @classmethod
    def _known_cq(cls, value: int, info: ValidationInfo) -> int:
        most = MAX_CQ.get(info.data.get("nvenc_format", ""), value)
        if value > most:
            raise ValueError(f"must be at most {most}")
        return value

    @field_validator("nvenc_lookahead")
    @classmethod
    def _fitting_lookahead(cls, value: int, info: ValidationInfo) -> int:
        if value + info.data.get("nvenc_b_frames", 0) > MAX_LOOKAHEAD:
            raise ValueError(f"must be at most {MAX_LOOKAHEAD}, together with NVENC_B_FRAMES")
        return value

    @field_validator("ffmpeg_binary", "fonts_dir")
    @classmethod
    def _existing(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        is_there, kind = (Path.is_file, "file") if info.field_name == "ffmpeg_binary" else (Path.is_dir, "folder")
        if value is not None and not is_there(value):
            raise ValueError(f"there is no such {kind}")
        return value

    def identity(self) -> ReloadingIdentity:
        """Read TLS_BUNDLE when it is given, else the TLS files, which are followed. Raises ConfigError for what cannot
        be used."""
        if text := self.tls_bundle.get_secret_value():
            return ReloadingIdentity(Identity.parse(text))
        return ReloadingIdentity.of(IdentityFiles(self.tls_cert, self.tls_key, self.tls_ca))
