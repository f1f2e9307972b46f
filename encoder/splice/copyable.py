"""Whether the packets of a video can be put behind those of another as they are."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from itertools import islice

from av.packet import Packet
from av.video.stream import VideoStream as AvVideo

from encoder.media import outlines
from encoder.media.containers import open_container
from encoder.media.info import MediaInfo, Source, VideoStream
from encoder.splice import h264, hevc
from encoder.splice.bits import BadBitstream
from encoder.splice.scan import MAX_UNITS

UNTIMED = "not all of its packets are timed and shown, as where an edit list cuts it"
CHANGES = "its parameters change in mid-file, or cannot be read"
OPEN_START = "behind other pictures decoders do not begin anew with its first one, as where it was cut by copying"


@dataclass(frozen=True)
class _UnitKinds:
    """Kinds of the NAL units of a codec: `slices`, those of pictures at which a decoder begins `anew`, and parameter
    `sets`; the place in the record of a track that tells how long lengths are; and the bit of the third byte of such
    slices by which decoders drop what was not shown yet, where it stands there."""

    slices: Container[int]
    anew: Container[int]
    sets: Container[int]
    length_at: int
    shift: int = 0
    mask: int = 31
    drops: int = 0

    def of(self, unit: memoryview) -> int:
        """Return the kind of a unit."""
        return unit[0] >> self.shift & self.mask

    def is_dropping(self, unit: memoryview) -> bool:
        """Return whether decoders drop what was not shown yet, of a slice of a picture with which they begin anew."""
        return len(unit) > hevc.HEADER_BYTES and bool(unit[hevc.HEADER_BYTES] & self.drops)


# ITU-T H.264, table 7-1; H.265, table 7-1: behind other pictures those that a CRA picture leads to are not dropped, and
# its number goes on from theirs.
KINDS: Mapping[str, _UnitKinds] = {
    "h264": _UnitKinds(range(1, 6), (h264.IDR,), (h264.SPS, h264.PPS), length_at=4),
    "hevc": _UnitKinds(range(32), range(16, 21), (32, 33, 34), length_at=21, shift=1, mask=63, drops=hevc.DROPS),
}


def why_not_copyable(source: Source, info: MediaInfo, video: VideoStream, *, is_first: bool) -> str:
    """Return why the packets of a video cannot be put after those of another, or, if it `is_first`, before them; ""
    where they can: all are timed, none is cut away by an edit list, all are decoded by the parameter sets of the track,
    and behind others a decoder begins anew with the first."""
    outlines.check_read_whole(source, info.demuxer)
    with open_container(source, (info.demuxer,)) as container:
        stream = container.streams[video.index]
        assert isinstance(stream, AvVideo)
        record, begin = stream.codec_context.extradata or b"", None
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_discard:
                return UNTIMED
            if packet.has_sidedata("new_extradata"):
                return CHANGES
            begins_anew = _begins_anew(packet, record, video.codec)
            if begins_anew is None:
                return CHANGES
            if begin is None:
                begin = packet.pts
                if not packet.is_keyframe or not (is_first or begins_anew):
                    return OPEN_START
            if video.codec not in KINDS and not is_first and packet.pts < begin:
                return OPEN_START
        return "" if begin is not None else "it has no packets"


def _begins_anew(packet: "Packet[AvVideo]", record: bytes, codec: str) -> bool | None:
    """Return whether a decoder begins anew with a packet; None for one with parameter sets that its track has not, or
    that cannot be read."""
    if codec not in KINDS:
        return packet.is_keyframe
    kinds, found = KINDS[codec], None
    if len(record) <= kinds.length_at:
        return None
    try:
        units = h264.iter_units(memoryview(packet), (record[kinds.length_at] & 3) + 1)
        for _, unit in islice(units, MAX_UNITS):
            kind = kinds.of(unit)
            if kind in kinds.sets and bytes(unit) not in record:
                return None
            if found is None and kind in kinds.slices:
                found = kind in kinds.anew and not kinds.is_dropping(unit)
    except BadBitstream:
        return None
    return bool(found)
