"""Sandboxes, the strictest first: FFmpeg reads files of strangers, so it runs where it can reach nothing else."""

from collections.abc import Callable
from typing import Any

from encoder.sandbox.bubblewrap import Bubblewrap
from encoder.sandbox.landlock import Landlock
from encoder.sandbox.none import NoSandbox

AUTO = "auto"

SANDBOXES: dict[str, Callable[..., Any]] = {
    "bubblewrap": Bubblewrap,
    "landlock": Landlock,
    "none": NoSandbox,
}
"""Name in the setting SANDBOX to what makes a Sandbox of Limits; `auto` takes the first that works."""
