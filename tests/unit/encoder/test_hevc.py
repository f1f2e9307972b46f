"""Parameter sets of H.265, and where a run of new frames may begin and end among its pictures."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from encoder.codecs.nvenc.set_numbers import NUMBERS, renumbered
from encoder.splice import hevc, pictures
from encoder.splice.bits import BadBitstream
from encoder.splice.h264 import PictureShape
from encoder.splice.hevc import HevcRecord
from tests.support import growth
from tests.support.mutations import mutated

# Main, 320×180, as x265 writes them; the SPS has its pictures padded to 320×184.
VPS = bytes.fromhex("40010c01ffff01600000030090000003000003003c959809")
SPS = bytes.fromhex("42010101600000030090000003000003003ca00a080b9f796566924caf016808000003000800000300c840")
# The same with scaling lists by default.
LISTS = bytes.fromhex("42010101600000030090000003000003003ca00a080b9f796566924e5780b4040000030004000003006420")
PPS = bytes.fromhex("4401c172b46240")
HEAD = bytes.fromhex("0101600000009000000000003cf000fcfdf8f80000")
RECORD = HevcRecord(HEAD, 4, (SPS,), (PPS,), b"", (VPS,), 0x0C)


def numbered(record: HevcRecord, number: int) -> HevcRecord:
    """The record with its sets renumbered, as those of an encoded run are."""
    vps, sps, pps = (renumbered(b"\0\0\1" + unit, number, "hevc")[3:] for unit in record.sets)
    return replace(record, vps=(vps,), sps=(sps,), pps=(pps,))


@pytest.mark.parametrize("unit", [SPS, LISTS])
def test_parameters_are_read(unit: bytes) -> None:
    found = hevc.read_sps(unit)
    assert (found.number, found.profile, found.level, found.plain, found.is_high_tier) == (0, 1, 20, True, False)
    assert (found.references, found.reordered) == (4, 2)
    assert found.shape == PictureShape(320, 180, (0, 0, 0, 0), (1, 1))
    assert hevc.fits_shape(found.shape, 320, 180)
    assert not hevc.fits_shape(found.shape, 320, 184)


@pytest.mark.parametrize("number", NUMBERS)
def test_sets_of_another_number_say_the_same_otherwise(number: int) -> None:
    for record in (RECORD, replace(RECORD, sps=(LISTS,))):
        made = numbered(record, number)
        assert made.has_number(number)
        assert replace(made.sequences()[0], number=0) == record.sequences()[0]
        assert not record.has_number(number)


def test_a_record_is_read_and_written_and_takes_more_sets() -> None:
    assert hevc.read_record(RECORD.to_bytes()) == RECORD
    message = b"\x01\x27\0\1\0\4\x4e\x01\x05\0"  # one array of a message
    assert hevc.read_record(replace(RECORD, tail=message).to_bytes()).tail == message
    other = numbered(RECORD, 30)
    both = hevc.read_record(RECORD.with_sets(other).to_bytes())
    assert both.sets == (VPS, *other.vps, SPS, *other.sps, PPS, *other.pps)
    assert (both.head, both.layers) == (HEAD, 0x0C)
    with pytest.raises(BadBitstream, match="too many"):
        replace(RECORD, sps=(SPS,) * hevc.MAX_SPS_SETS).with_sets(RECORD)


def test_more_sets_than_decoders_keep_are_refused_before_they_are_read() -> None:
    for kind, most in (("vps", hevc.MAX_SPS_SETS), ("sps", hevc.MAX_SPS_SETS), ("pps", hevc.MAX_PPS_SETS)):
        units = getattr(RECORD, kind) * most
        assert hevc.read_record(replace(RECORD, **{kind: units}).to_bytes())
        with pytest.raises(BadBitstream, match="too many"):
            hevc.read_record(replace(RECORD, **{kind: (*units, units[0])}).to_bytes())


def test_what_is_not_true_of_both_is_not_told() -> None:
    other = replace(RECORD, head=HEAD[:6] + b"\x10" + HEAD[7:13] + b"\xf0\x01\xfe" + HEAD[16:19] + b"\0\x19", layers=0)
    both = RECORD.with_sets(replace(other, vps=(), sps=(), pps=()))
    assert both.head == HEAD[:6] + b"\x10" + HEAD[7:13] + b"\xf0\0\xfc" + HEAD[16:]
    assert both.layers == 0


def test_records_are_joined_that_one_decoder_is_set_up_for() -> None:
    assert RECORD.joined(RECORD) == RECORD
    spliced = RECORD.with_sets(numbered(RECORD, 30))
    assert RECORD.joined(spliced) == spliced.joined(RECORD) == spliced
    assert RECORD.joined(replace(RECORD, pps=(PPS + b"\0",))) is None
    assert RECORD.joined(replace(RECORD, head=HEAD[:12] + b"\x5d" + HEAD[13:])) is None
    assert RECORD.joined(replace(RECORD, length_bytes=2)) is None


def test_the_number_of_new_sets_is_one_that_no_other_has() -> None:
    record = RECORD
    for number in NUMBERS[::-1]:
        if number == NUMBERS[0]:  # VPS and SPS would have the number 0, which those of the source have
            break
        assert hevc.free_number(record) == number
        record = record.with_sets(numbered(RECORD, number))
    with pytest.raises(BadBitstream, match="too many"):
        hevc.free_number(record)
    with pytest.raises(BadBitstream, match="numbers of parameter sets are taken"):
        hevc.free_number(replace(RECORD, pps=tuple(numbered(RECORD, number).pps[0] for number in NUMBERS)))


def unit(kind: int, *data: int, layer: int = 0) -> bytes:
    body = bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | 1, *data])
    return len(body).to_bytes(4, "big") + body


def test_units_are_found_by_their_lengths() -> None:
    packet = unit(35, 0x50) + unit(19, 0xAF, 1) + unit(1, 0x80, layer=1)
    assert [kind for kind, _ in hevc.iter_units(memoryview(packet), 4)] == [35, 19, hevc.OTHER_LAYER]
    for cut in (packet[:-1], packet + b"\0\0\0\1\x26", packet + b"\0\0\0\0"):
        with pytest.raises(BadBitstream):
            list(hevc.iter_units(memoryview(cut), 4))


def test_a_cra_picture_becomes_one_behind_a_broken_link() -> None:
    packet = unit(39, 1, 2) + unit(21, 0xAF, 9) + unit(21, 0x2F, 9)
    made = hevc.broken_link(packet, 4)
    assert [kind for kind, _ in hevc.iter_units(memoryview(made), 4)] == [39, hevc.BLA_N_LP, hevc.BLA_N_LP]
    assert [place for place, pair in enumerate(zip(packet, made, strict=True)) if pair[0] != pair[1]] == [12, 20]
    assert hevc.broken_link(made, 4) == made
    # One that says that what was not shown yet is dropped, as none heeds of a CRA picture, no longer does.
    told = unit(39, 1, 2) + unit(21, 0xEF, 9) + unit(21, 0x6F, 9)
    assert hevc.broken_link(told, 4) == made


def test_what_pictures_are() -> None:
    told = {kind: hevc.picture(kind, memoryview(unit(kind, 0xAF)[4:])) for kind in hevc.PLAIN_UNITS}
    assert {kind for kind, found in told.items() if found == pictures.ANEW} == {16, 17, 18, 19, 20}
    assert {kind for kind, found in told.items() if found == pictures.SKIPPED_LEADING} == {8, 9}
    assert {kind for kind, found in told.items() if found == pictures.DECODABLE_LEADING} == {6, 7}
    assert {kind for kind, found in told.items() if found == pictures.PLAIN} == {0, 1, 2, 3, 4, 5}
    assert told[21] == pictures.CRA
    assert hevc.picture(19, memoryview(unit(19, 0xEF)[4:])) == pictures.DROPPING


def places(kinds: str, shown: list[int]) -> pictures.Places:
    """Places among pictures: I begins anew, D drops what is not shown, C is CRA, l and s lead, p are others."""
    named = {"I": pictures.ANEW, "D": pictures.DROPPING, "C": pictures.CRA, "p": pictures.PLAIN}
    named |= {"l": pictures.DECODABLE_LEADING, "s": pictures.SKIPPED_LEADING}
    times = np.array(shown)
    clean = np.array([place == 0 or max(shown[:place]) < min(shown[place:]) for place in range(len(shown))])
    return pictures.find_places(np.array([named[kind] for kind in kinds], np.uint8), times, clean)


def test_runs_end_before_keyframes_and_what_leads_to_them() -> None:
    found = places("IppCsslppIlp", [0, 2, 1, 6, 3, 4, 5, 7, 8, 10, 9, 11])
    assert np.flatnonzero(found.exits).tolist() == [0, 6, 9]
    assert dict(found.moved) == {6: 3}
    assert np.flatnonzero(found.keys).tolist() == [0, 3, 9]
    # Pictures that lead are decoded from the keyframe before; those behind them from the one that they lead to.
    shown = np.array([0, 2, 1, 6, 3, 4, 5, 7, 8, 10, 9, 11])
    assert pictures.first_key(found.anew, found.keys, shown, 3, 3) == 0
    assert pictures.first_key(found.anew, found.keys, shown, 7, 7) == 3
    assert pictures.first_key(found.anew, found.keys, shown, 9, 9) == 9


def test_keyframes_that_leave_pictures_out_are_no_ends() -> None:
    # A CRA picture behind which one is shown that was decoded before.
    assert dict(places("IpCsp", [0, 4, 3, 1, 5]).moved) == {}
    assert dict(places("IpCp", [0, 1, 2, 3]).moved) == {2: 2}
    assert dict(places("IpCs", [0, 1, 3, 2]).moved) == {3: 2}


@pytest.mark.parametrize("kinds", ["Ips", "Isp", "IpIs", "spp", "IpDp"])
def test_pictures_that_decoders_skip_are_told(kinds: str) -> None:
    with pytest.raises(pictures.MissingPictures):
        places(kinds, list(range(len(kinds))))


def test_a_first_picture_that_drops_others_is_told() -> None:
    assert [places(kinds, [0, 1, 2]).drops for kinds in ("Dpp", "Ipp")] == [True, False]


def test_damaged_parameters_are_read_or_refused() -> None:
    record = replace(RECORD, tail=b"\x01\x27\0\1\0\4\x4e\x01\x05\0").to_bytes()
    for seed in range(2000):
        for read, data in ((hevc.read_sps, SPS), (hevc.read_sps, LISTS), (hevc.read_record, record)):
            with contextlib.suppress(BadBitstream):
                read(mutated(data, seed))
        for found in (VPS, SPS, PPS):
            renumbered(b"\0\0\1" + mutated(found, seed), 30, "hevc")


def test_reading_of_sets_grows_with_their_length() -> None:
    def read(unit: bytes) -> None:
        with contextlib.suppress(BadBitstream):
            hevc.read_sps(unit)

    growth.assert_grows_gently(lambda count: SPS[:30] + b"\xff" * count, read, 500)
