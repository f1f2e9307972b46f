"""The codecs: what compresses video, on which hardware."""

AUTO = "auto"
CODECS = ("nvenc", "x264")
"""Values of the setting CODEC, the best first; `auto` takes the first that works."""
