"""Tracks of sound in a result: copied where MP4 can hold them and players can be expected to play them, else AAC."""

from collections.abc import Mapping, Sequence

from encoder.audio import mixing
from encoder.media.info import AudioStream

# The coder `fast` takes half the time of the default; at this rate its noise is level, held against what the ear masks.
AAC: Mapping[str, str] = {"c:a": "aac", "b:a": "192k", "aac_coder": "fast"}
# What MP4 can hold and players of MP4 can be expected to play.
MP4_AUDIO = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
# Hz: MP4 has no name for the slower rates of MP3.
MIN_MP3_RATE = 16_000
# Hz: platforms refuse what is faster. AAC has no other rates than these up to there.
MAX_RATE = 48_000
AAC_RATES = (7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, MAX_RATE)
# Bit/s; with room for what an encoder that was told 192 kbit/s takes at times.
MAX_COPIED_BIT_RATE = 200_000


def keep(streams: Sequence[AudioStream]) -> dict[str, str]:
    """Return options that copy each audio stream where MP4 can hold it, and make it AAC where not."""
    options: dict[str, str] = {}
    for number, stream in enumerate(streams):
        options |= {f"c:a:{number}": "copy"} if is_copied(stream) else encode(stream, number)
    return options


def is_copied(stream: AudioStream) -> bool:
    """Return True if MP4 can hold a stream as it is, and players and platforms take it."""
    if stream.codec not in MP4_AUDIO or stream.sample_rate > MAX_RATE:
        return False
    return stream.codec != "mp3" or stream.sample_rate >= MIN_MP3_RATE


def is_small_aac(stream: AudioStream) -> bool:
    """Return True if a stream is AAC that is no larger than what would be made of it."""
    return stream.codec == "aac" and is_copied(stream) and 0 < stream.bit_rate <= MAX_COPIED_BIT_RATE


def encode(stream: AudioStream, number: int = 0) -> dict[str, str]:
    """Return options that make a stream, the output's audio stream of that number, AAC: at a rate and in a layout that
    AAC has."""
    options = {f"c:a:{number}": AAC["c:a"], f"b:a:{number}": AAC["b:a"], f"aac_coder:a:{number}": AAC["aac_coder"]}
    if stream.sample_rate and stream.sample_rate not in AAC_RATES:
        options[f"ar:a:{number}"] = str(result_rate(stream))
    if mixing.needs_mixing(stream):
        options[f"filter:a:{number}"] = mixing.mixing_filters(stream)
    return options


def result_rate(stream: AudioStream) -> int:
    """Return the rate in Hz at which a stream is encoded: its own, or the next one above that AAC has."""
    return next((rate for rate in AAC_RATES if rate >= stream.sample_rate), MAX_RATE)
