"""The codecs, by name. Each is imported only when it is chosen: some need libraries that most machines lack."""

from importlib import import_module
from operator import attrgetter
from typing import Any

AUTO = "auto"

CODECS: dict[str, str] = {
    "nvenc": "encoder.codecs.nvenc.codec:Nvenc.of",
    "x264": "encoder.codecs.x264:X264",
}
"""Name to "module:maker"; `auto` takes the first that works."""


def load(name: str) -> Any:
    """Return the constructor of a codec. Raises ImportError where its libraries are missing."""
    module, _, attribute = CODECS[name].partition(":")
    return attrgetter(attribute)(import_module(module))
