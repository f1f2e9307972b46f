"""Putting a film together: what containers do not take has all of it encoded, and is never the fault of its source."""

import errno
from dataclasses import replace
from pathlib import Path

import av
import pytest

from encoder.media import probe
from encoder.media.info import Source
from encoder.splice import h264, muxing, scan
from encoder.splice.muxing import PartMismatch
from encoder.splice.scan import ScannedTrack, Unspliceable
from encoder.splice.segments import Segment
from tests.support import odd_videos


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source("url_video", odd_videos.FEW["pyramid"].make(tmp_path_factory.mktemp("film")))


def scanned(film: Source) -> ScannedTrack:
    return scan.scan(film, *probe.probe_video(film))


def mux(film: Source, track: ScannedTrack, result: Path, *parts: Path) -> None:
    middle = len(track.shown) // 2
    ends = Segment(0, middle, False), Segment(middle, len(track.shown), bool(parts))
    muxing.mux(film, *probe.probe_video(film), track, ends, [Source("url_video", part) for part in parts], result)


def test_packets_that_mp4_does_not_take_are_a_mismatch(film: Source, tmp_path: Path) -> None:
    track = scanned(film)
    mux(film, track, tmp_path / "right.mp4")
    with pytest.raises(PartMismatch, match="MP4 does not take"):
        mux(film, replace(track, decoded=track.decoded[::-1]), tmp_path / "wrong.mp4")


def test_a_part_that_cannot_be_read_is_a_mismatch(film: Source, tmp_path: Path) -> None:
    part = tmp_path / "part.mp4"
    part.write_bytes(film.path.read_bytes()[:5000])
    with pytest.raises(PartMismatch, match="a run of it cannot be read"):
        mux(film, scanned(film), tmp_path / "out.mp4", part)


def test_a_full_disk_stays_one(film: Source) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        mux(film, scanned(film), Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC


def test_a_film_without_room_for_parameter_sets_is_refused_when_it_is_read(film: Source, tmp_path: Path) -> None:
    path = tmp_path / "many.mp4"
    with av.open(str(film.path)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        record = h264.read_record(stream.codec_context.extradata or b"")
        stream.codec_context.extradata = replace(record, sps=record.sps * h264.MAX_SPS_SETS).to_bytes()
        for packet in given.demux(video=0):
            packet.stream = stream
            if packet.size:
                made.mux(packet)
    with pytest.raises(Unspliceable, match="too many parameter sets"):
        scanned(Source("url_video", path))
