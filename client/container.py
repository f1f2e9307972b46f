"""The kind of file to make."""

from typing import Literal

Container = Literal["mp4", "fragmented-mp4"]
"""MP4 with its index first, for any player (when not given); or fragmented MP4, which leaves the encoder while it is
made."""
