"""Parameter sets of H.264, and which frames of a film are encoded."""

import contextlib
import random
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from encoder.splice import h264, segments
from encoder.splice.h264 import BadBitstream, DecoderRecord, PictureShape
from encoder.splice.segments import Segment
from tests.support import growth
from tests.support.mutations import mutated

# High, 640×360, as x264 writes it: four references, two pictures reordered.
SPS = bytes.fromhex("6764001eacd940a02ff97011000003000100000300320f162d96")
PPS = bytes.fromhex("68ef8fcb")
RECORD = DecoderRecord(b"\x01\x64\x00\x1e", 4, (SPS,), (PPS,), b"\xfd\xf8\xf8\x00")


def test_parameters_are_read() -> None:
    found = h264.read_sps(SPS)
    assert (found.number, found.profile, found.level, found.plain) == (0, h264.HIGH, 30, True)
    assert (found.references, found.reordered) == (4, 2)
    assert found.shape == PictureShape(40, 23, (0, 0, 0, 4), (1, 1))
    assert h264.pps_number(PPS) == 0


def test_a_record_is_read_and_written_and_takes_more_sets() -> None:
    assert h264.read_record(RECORD.to_bytes()) == RECORD
    other = DecoderRecord(b"\x01\x42\xc0\x1e", 4, (b"\x67\x42\xc0\x1e\x01",), (b"\x68\x01",))
    both = h264.read_record(RECORD.with_sets(other).to_bytes())
    assert (both.sps, both.pps) == ((SPS, other.sps[0]), (PPS, other.pps[0]))
    assert (both.head, both.tail) == (RECORD.head, RECORD.tail)
    with pytest.raises(BadBitstream, match="too many"):
        DecoderRecord(RECORD.head, 4, (SPS,) * 31, (PPS,)).with_sets(RECORD)


def test_records_are_joined_that_one_decoder_is_set_up_for() -> None:
    assert RECORD.joined(RECORD) == RECORD
    spliced = replace(RECORD, pps=(PPS, b"\x68\x04\x1f"))  # a set of another number
    assert RECORD.joined(spliced) == spliced.joined(RECORD) == spliced
    # Another set of a number that is taken, another level, lengths of another kind.
    assert RECORD.joined(replace(RECORD, pps=(PPS + b"\0",))) is None
    assert RECORD.joined(replace(RECORD, head=b"\x01\x64\x00\x28")) is None
    assert RECORD.joined(replace(RECORD, length_bytes=2)) is None


def test_the_number_of_new_sets_is_one_that_no_other_has() -> None:
    assert h264.free_number(RECORD) == 30
    long = b"\x68\x04\x1f" + b"\xff" * 2000  # with scaling lists; its number is 31
    assert h264.free_number(replace(RECORD, pps=(PPS, long))) == 30
    with pytest.raises(BadBitstream, match="too many"):
        h264.free_number(replace(RECORD, sps=(SPS,) * h264.MAX_SPS_SETS))


def test_units_are_found_by_their_lengths() -> None:
    packet = b"\0\0\0\2\x65\xff\0\0\0\1\x06"
    assert [kind for kind, _ in h264.iter_units(memoryview(packet), 4)] == [h264.IDR, 6]
    with pytest.raises(BadBitstream):
        list(h264.iter_units(memoryview(packet[:-1]), 4))


def test_damaged_parameters_are_read_or_refused() -> None:
    for seed in range(2000):
        for read, data in ((h264.read_sps, SPS), (h264.read_record, RECORD.to_bytes())):
            with contextlib.suppress(BadBitstream):
                read(mutated(data, seed))


def walk(packet: memoryview) -> int:
    return sum(kind for kind, _ in h264.iter_units(packet, 4))


def test_reading_of_units_grows_with_their_number() -> None:
    growth.assert_grows_gently(lambda count: memoryview(b"\0\0\0\1\x06" * count), walk, 5_000)


def frames(count: int, every: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Entries at each fourth frame, exits at each keyframe."""
    numbers = np.arange(count)
    return numbers % 4 == 0, numbers % every == 0


def laid_out(*found: tuple[int, int], count: int = 400, every: int = 100) -> list[tuple[int, int]]:
    made = segments.lay_out(found, *frames(count, every))
    assert [part.first for part in made] == [0, *(part.end for part in made[:-1])]
    assert made[-1].end == count
    return [(part.first, part.end) for part in made if part.is_encoded]


def test_a_run_begins_where_it_may_and_ends_before_a_keyframe() -> None:
    assert laid_out((106, 110)) == [(104, 200)]
    assert laid_out((0, 1)) == [(0, 100)]
    assert laid_out((399, 400)) == [(396, 400)]
    assert laid_out() == []


def test_runs_that_meet_or_nearly_meet_are_one() -> None:
    assert laid_out((106, 110), (150, 160)) == [(104, 200)]
    assert laid_out((106, 110), (210, 212)) == [(104, 300)]
    assert laid_out((106, 110), (250, 260)) == [(104, 200), (248, 300)]
    assert laid_out((250, 260), (106, 110)) == [(104, 200), (248, 300)]


def test_any_spans_give_segments_that_hold_them() -> None:
    chance = random.Random(1)
    for _ in range(300):
        starts = [chance.randrange(400) for _ in range(chance.randrange(6))]
        found = [(start, min(start + chance.randint(1, 60), 400)) for start in starts]
        runs = laid_out(*found, every=chance.choice((4, 20, 100)))
        assert all(any(first <= start and after <= end for first, end in runs) for start, after in found)


def test_frames_that_a_span_touches() -> None:
    seconds = np.arange(100) * 0.04
    assert list(segments.touched([(1.0, 1.08), (1.0201, 1.0202), (9, 10)], seconds)) == [(25, 28)]


@pytest.mark.parametrize(
    ("made", "word"),
    [
        ((Segment(0, 100, False), Segment(100, 300, True)), ""),
        ((Segment(0, 80, False), Segment(80, 300, True)), "220 of 300"),
        ((Segment(0, 30, False), Segment(30, 50, True)), "short"),
        (tuple(Segment(n * 10, n * 10 + 10, n % 2 == 0) for n in range(203)), "runs"),
    ],
)
def test_when_it_is_better_to_encode_all(made: tuple[Segment, ...], word: str) -> None:
    why = segments.why_whole(made)
    assert (word in why) if word else why == ""
