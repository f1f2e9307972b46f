"""Levels of H.264, H.265 and AV1, and which of them NVENC must be told so that it reaches the quality that is set.

Left to itself the driver takes the lowest level for size and frame rate, and holds the stream to the bit rate of that
level's main tier, even at constant quality. PyNvVideoCodec passes no bit rate on beside a quality (2.2.4): level and
tier alone lift it. They are lifted only where demanding video would be held back. What plays H.265 need not take its
high tier, so that all else stays in the main one; and a tier is lifted before a level, as a level also asks for more
memory of what plays it.

Sources: ITU-T H.264 table A-1 (MaxFS and MaxMBPS × 256, MaxBR × 1.25 for the profile High), ITU-T H.265 tables A.8 and
A.9 (MaxLumaPs, MaxLumaSr, MaxBR), AV1 specification A.3 (MaxPicSize, MaxDisplayRate, MainMbps, HighMbps).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Level:
    """What a decoder of a level takes at most: samples of luma of a picture and of a second, and kbit/s in the main
    tier and in the high one (0 where there is none)."""

    name: str
    samples: int
    samples_per_second: int
    main_kbits: int
    high_kbits: int = 0


LEVELS: Mapping[str, tuple[Level, ...]] = {
    "h264": (
        Level("1", 25344, 380160, 80),
        Level("1.1", 101376, 768000, 240),
        Level("1.2", 101376, 1536000, 480),
        Level("1.3", 101376, 3041280, 960),
        Level("2", 101376, 3041280, 2500),
        Level("2.1", 202752, 5068800, 5000),
        Level("2.2", 414720, 5184000, 5000),
        Level("3", 414720, 10368000, 12500),
        Level("3.1", 921600, 27648000, 17500),
        Level("3.2", 1310720, 55296000, 25000),
        Level("4", 2097152, 62914560, 25000),
        Level("4.1", 2097152, 62914560, 62500),
        Level("4.2", 2228224, 133693440, 62500),
        Level("5", 5652480, 150994944, 168750),
        Level("5.1", 9437184, 251658240, 300000),
        Level("5.2", 9437184, 530841600, 300000),
        Level("6", 35651584, 1069547520, 300000),
        Level("6.1", 35651584, 2139095040, 600000),
        Level("6.2", 35651584, 4278190080, 1000000),
    ),
    "hevc": (
        Level("1", 36864, 552960, 128),
        Level("2", 122880, 3686400, 1500),
        Level("2.1", 245760, 7372800, 3000),
        Level("3", 552960, 16588800, 6000),
        Level("3.1", 983040, 33177600, 10000),
        Level("4", 2228224, 66846720, 12000, 30000),
        Level("4.1", 2228224, 133693440, 20000, 50000),
        Level("5", 8912896, 267386880, 25000, 100000),
        Level("5.1", 8912896, 534773760, 40000, 160000),
        Level("5.2", 8912896, 1069547520, 60000, 240000),
        Level("6", 35651584, 1069547520, 60000, 240000),
        Level("6.1", 35651584, 2139095040, 120000, 480000),
        Level("6.2", 35651584, 4278190080, 240000, 800000),
    ),
    "av1": (
        Level("2", 147456, 4423680, 1500),
        Level("2.1", 278784, 8363520, 3000),
        Level("3", 665856, 19975680, 6000),
        Level("3.1", 1065024, 31950720, 10000),
        Level("4", 2359296, 70778880, 12000, 30000),
        Level("4.1", 2359296, 141557760, 20000, 50000),
        Level("5", 8912896, 267386880, 30000, 100000),
        Level("5.1", 8912896, 534773760, 40000, 160000),
        Level("5.2", 8912896, 1069547520, 60000, 240000),
        Level("5.3", 8912896, 1069547520, 60000, 240000),
        Level("6", 35651584, 1069547520, 60000, 240000),
        Level("6.1", 35651584, 2139095040, 100000, 480000),
        Level("6.2", 35651584, 4278190080, 160000, 800000),
        Level("6.3", 35651584, 4278190080, 160000, 800000),
    ),
}
# Older cards make no more of H.264.
HIGHEST_H264 = "5.1"
# Sides of H.264 are counted in whole macroblocks.
BLOCK = {"h264": 16, "hevc": 1, "av1": 1}
# Drivers take no more of a level's rate.
USABLE = 0.96


@dataclass(frozen=True)
class Demand:
    """What demanding video takes: bits for a sample of luma of 1280×720 at the quality 23, and how many steps of
    quality halve that."""

    bits_per_sample: float
    halved_by: float


HD_SAMPLES = 1280 * 720
# Of a detailed picture in motion with light grain, by x264, x265 and SVT-AV1.
DEMANDS = {"h264": Demand(0.2, 4), "hevc": Demand(0.15, 4), "av1": Demand(0.15, 5)}


@dataclass(frozen=True)
class LevelChoice:
    """A level by its name, and 0 for its main tier or 1 for the high one."""

    level: str
    tier: int


def lift(
    form: str, width: int, height: int, rate: Fraction, quality: int, highest: str = "", highest_tier: int = 0
) -> LevelChoice | None:
    """Return the level and tier that the driver must be told for pictures of this size at a frame rate and a constant
    quality (1 best), none above the `highest`, where a level is given; None where it may choose: its choice holds
    nothing back, or no level takes the pictures."""
    block = BLOCK[form]
    samples = -(-width // block) * -(-height // block) * block * block
    fitting = [level for level in LEVELS[form] if _takes(level, samples, max(width, height), rate)]
    if form == "h264":
        highest = min(highest or HIGHEST_H264, HIGHEST_H264)
    fitting = [level for level in fitting if level.name <= (highest or level.name)]
    tiers = highest_tier + 1 if highest else 2
    choices = [
        (LevelChoice(level.name, tier), kbits)
        for level in fitting
        for tier, kbits in enumerate((level.main_kbits, level.high_kbits)[:tiers])
        if kbits
    ]
    needed = needed_kbits(form, samples, rate, quality)
    enough = [choice for choice, kbits in choices if kbits * USABLE >= needed]
    if not choices or enough[:1] == [choices[0][0]]:
        return None
    return enough[0] if enough else max(choices, key=lambda choice: choice[1])[0]


def needed_kbits(form: str, samples: int, rate: Fraction, quality: int) -> float:
    """Return the kbit/s that demanding video takes: of larger pictures less for each sample."""
    demand = DEMANDS[form]
    by_quality: float = 2 ** ((23 - quality) / demand.halved_by)
    by_size: float = (HD_SAMPLES / samples) ** 0.25
    return samples * float(rate) * demand.bits_per_sample * by_quality * by_size / 1000


def _takes(level: Level, samples: int, side: int, rate: Fraction) -> bool:
    # By the shape H.264 and H.265 bound a side; AV1 allows longer ones.
    has_room = samples <= level.samples and side * side <= 8 * level.samples
    return has_room and samples * rate <= level.samples_per_second
