"""Mixing down: which layouts are mixed, and that every channel is heard on its side."""

import re

import pytest

from encoder.audio import mixing, tracks
from encoder.media.info import AudioStream

# As FFmpeg lists them, of more than eight channels or with channels that AAC has no place for.
LAYOUTS = {
    "3.1.2": "FL FR FC LFE TFL TFR",
    "5.1.2": "FL FR FC LFE SL SR TFL TFR",
    "cube": "FL FR BL BR TFL TFR TBL TBR",
    "5.1.4": "FL FR FC LFE SL SR TFL TFR TBL TBR",
    "7.1.4": "FL FR FC LFE BL BR SL SR TFL TFR TBL TBR",
    "9.1.6": "FL FR FC LFE BL BR FLC FRC SL SR TFL TFR TBL TBR TSL TSR",
    "hexadecagonal": "FL FR FC BL BR BC SL SR TFL TFC TFR TBL TBC TBR WL WR",
    "binaural": "BIL BIR",
    "22.2": "FL FR FC LFE BL BR FLC FRC BC SL SR TC TFL TFC TFR TBL TBC TBR LFE2 TSL TSR BFC BFL BFR",
}


def stream(layout: str, places: str = "", codec: str = "pcm_s16le", rate: int = 48_000) -> AudioStream:
    names = tuple(places.split())
    return AudioStream(0, codec, 1.0, 0, rate, channels=len(names), layout=layout, places=names)


def heard(filters: str) -> dict[int, tuple[float, float]]:
    """How loud each channel is at the left and at the right."""
    found = re.match(r"pan=stereo\|c0=(.*)\|c1=(.*),alimiter", filters)
    assert found
    sides = [{int(n): float(f) for f, n in re.findall(r"([\d.]+)\*c(\d+)", side)} for side in found.groups()]
    return {n: (sides[0].get(n, 0.0), sides[1].get(n, 0.0)) for n in {*sides[0], *sides[1]}}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_channel_is_heard_on_its_side(layout: str) -> None:
    one = stream(layout, LAYOUTS[layout])
    assert mixing.needs_mixing(one)
    factors = heard(mixing.mixing_filters(one))
    assert len(factors) == one.channels
    for number, name in enumerate(one.places):
        left, right = factors[number]
        side = name.replace("LFE", "").replace("FLC", "L").replace("FRC", "R")
        assert (left > 0, right > 0) == ("R" not in side, "L" not in side), name


@pytest.mark.parametrize("count", [9, 10, 16, 24])
def test_channels_without_names_take_turns(count: int) -> None:
    one = stream(f"{count} channels", "NONE " * count)
    assert mixing.needs_mixing(one)
    factors = heard(mixing.mixing_filters(one))
    assert [left > 0 for left, _ in (factors[n] for n in range(count))] == [n % 2 == 0 for n in range(count)]


@pytest.mark.parametrize("layout", ["mono", "stereo", "2.1", "4.0", "5.1(side)", "7.1", "6 channels", "8 channels"])
def test_what_aac_carries_is_left(layout: str) -> None:
    one = stream(layout, "FL FR")
    assert not mixing.needs_mixing(one)
    assert not any("filter" in name for name in tracks.encode(one))


def test_a_lone_channel_stays_one() -> None:
    assert mixing.mixing_filters(stream("1 channels (LFE)", "LFE")).startswith("pan=mono|c0=c0,")


@pytest.mark.parametrize(
    ("rate", "result"),
    [(192_000, 48_000), (96_000, 48_000), (50_000, 48_000), (37_800, 44_100), (18_900, 22_050), (4_000, 7_350)],
)
def test_rates_that_aac_or_platforms_do_not_take(rate: int, result: int) -> None:
    assert tracks.encode(stream("stereo", "FL FR", rate=rate), 1)["ar:a:1"] == str(result)


@pytest.mark.parametrize("rate", [44_100, 48_000, 32_000, 22_050, 8_000])
def test_rates_that_stay(rate: int) -> None:
    assert "ar:a:0" not in tracks.encode(stream("stereo", "FL FR", rate=rate))


def test_what_is_copied() -> None:
    kept = [
        stream("stereo", "FL FR", codec, rate) for codec, rate in [("aac", 48_000), ("flac", 96_000), ("mp3", 11_025)]
    ]
    options = tracks.keep(kept)
    assert [options[f"c:a:{n}"] for n in range(3)] == ["copy", "aac", "aac"]
    assert "b:a:0" not in options
