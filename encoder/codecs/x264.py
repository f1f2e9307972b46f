"""H.264 by libx264, on any CPU."""

from collections.abc import Mapping
from dataclasses import dataclass

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True)
class X264:
    """libx264, profile High, at a constant rate factor (`crf`, 0 best to 51 worst)."""

    preset: str
    crf: int
    name: str = "x264"
    format: str = "h264"
    pixel_format: str = "yuv420p"

    def arguments(self, threads: int) -> Mapping[str, str]:
        """See Codec."""
        options = {"c:v": "libx264", "preset": self.preset, "crf": str(self.crf), "pix_fmt": self.pixel_format}
        options["threads"] = str(threads)
        # ultrafast turns off what sets High apart; forcing the profile would only be a label.
        return options if self.preset == "ultrafast" else options | {"profile:v": "high"}
