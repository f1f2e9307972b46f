"""The report of `python -m encoder doctor`: what this machine can encode, and why not more."""

from typing import Any

from encoder.captions import fonts
from encoder.codecs.nvenc import driver
from encoder.config import EncoderSettings
from encoder.server import capabilities
from encoder.server.capabilities import VERSION, Capabilities


async def report(settings: EncoderSettings) -> dict[str, Any]:
    """The report, as plain values. Raises ConfigError."""
    async with capabilities.found(settings) as found:
        return {
            "version": VERSION,
            "ffmpeg": {"path": str(found.ffmpeg.binary), "version": found.ffmpeg_version},
            "sandbox": found.ffmpeg.sandbox.name,
            "codecs": [
                {"name": s.codec.name, "format": s.codec.format, "works": not s.fault, "reason": s.fault}
                for s in found.codecs
            ],
            "gpu": _gpu(found),
            "fonts": [path.name for path in fonts.given_files(settings.fonts_dir) + fonts.bundled_files()],
            "work_dir": str(settings.work_dir.resolve()),
            "output_dir": str((settings.output_dir or settings.work_dir).resolve()),
        }


def _gpu(found: Capabilities) -> dict[str, Any]:
    return {
        "driver": driver.versions() or driver.missing(),
        "cards": [
            {"name": card.name, "formats": list(card.formats), "works": not card.fault, "reason": card.fault}
            for card in found.cards
        ],
    }
