"""Tables of MP4 that tell where the samples of a track are, and boxes as they are written. Source: ISO/IEC 14496-12,
8.7."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from encoder.media.mp4_boxes import SIZE_AND_KIND, Box

Sizes = npt.NDArray[np.int64]

MAX_LENGTH = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """When samples are decoded, by the clock of their track, and the last one ends; by how much later each is shown;
    and which of them need no other."""

    begins: Sizes
    end: int
    delays: Sizes
    keys: npt.NDArray[np.bool_]


@dataclass
class SampleTable:
    """Where the samples of a track are: runs of them, each by where it begins behind the head of the film, with the
    sizes of its samples; and the times of each run, None where they are not told."""

    starts: list[int] = field(default_factory=list)
    runs: list[Sizes] = field(default_factory=list)
    times: list[SampleTimes | None] = field(default_factory=list)

    @property
    def sizes(self) -> Sizes:
        """The sizes of all samples."""
        return np.concatenate(self.runs) if self.runs else np.zeros(0, np.int64)

    def boxes(self, lead: int, *, is_large: bool) -> Mapping[bytes, bytes]:
        """Return the boxes of the table for a head of so many bytes, by the kinds of those that they replace."""
        where = place_box(np.array(self.starts, np.int64) + lead, is_large=is_large)
        stsz, stsc = size_boxes(self.sizes, np.array([len(run) for run in self.runs], np.int64))
        return {b"stsz": stsz, b"stsc": stsc, b"stco": where, b"co64": where}

    def time_boxes(self) -> Mapping[bytes, bytes]:
        """Return the boxes of when samples are decoded and shown, and which need no other, as FFmpeg writes them.
        Raises ValueError where that is not told, or FFmpeg would change it."""
        times = self._told_times()
        delays, keys = np.concatenate([one.delays for one in times]), np.concatenate([one.keys for one in times])
        lengths = np.diff(np.concatenate([one.begins for one in times]), append=times[-1].end)
        if int(lengths.min()) <= 0 or int(lengths.max()) > MAX_LENGTH or int(delays.min()) < 0:
            raise ValueError("its samples do not follow each other")
        boxes = {b"stts": run_box(b"stts", lengths)}
        if delays.any():
            boxes[b"ctts"] = run_box(b"ctts", delays)
        if not keys.all():
            boxes[b"stss"] = write_full_box(b"stss", (np.flatnonzero(keys) + 1).astype(">u4"))
        return boxes

    def shown_until(self) -> tuple[int, int]:
        """Return when the last sample that is shown ends: where each lasts as long as its run tells, and where each but
        the last lasts until the next is decoded. Raises ValueError where that is not told."""
        times = self._told_times()
        told = max(int((one.delays + np.append(one.begins[1:], one.end)).max()) for one in times)
        begins, delays = np.concatenate([one.begins for one in times]), np.concatenate([one.delays for one in times])
        return told, int((delays + np.append(begins[1:], times[-1].end)).max())

    def _told_times(self) -> list[SampleTimes]:
        times = [one for one in self.times if one is not None]
        if not times or len(times) < len(self.runs):
            raise ValueError("it is not told when its samples are decoded")
        return times


def size_boxes(sizes: Sizes, counts: Sizes) -> tuple[bytes, bytes]:
    """Return the boxes of the sizes of samples, and of how many there are in each run."""
    firsts = np.flatnonzero(np.diff(counts, prepend=-1))
    chunks = np.stack([firsts + 1, counts[firsts], np.ones(len(firsts), np.int64)], axis=1).astype(">u4")
    stsz = struct.pack(">III", 0, 0, len(sizes)) + sizes.astype(">u4").tobytes()
    return write_box(b"stsz", stsz), write_full_box(b"stsc", chunks)


def run_box(kind: bytes, values: Sizes) -> bytes:
    """Return a table that tells for how many samples each value, none of them negative, holds."""
    firsts = np.flatnonzero(np.diff(values, prepend=-1))
    counts = np.diff(firsts, append=len(values))
    return write_full_box(kind, np.stack([counts, values[firsts]], axis=1).astype(">u4"))


def place_box(places: Sizes, *, is_large: bool) -> bytes:
    """Return the box of where runs of samples begin."""
    kind, form = (b"co64", ">u8") if is_large else (b"stco", ">u4")
    return write_full_box(kind, places.astype(form))


def whole_box(data: "bytes | bytearray | object", box: Box) -> bytes:
    """Return a box with its head, which is a usual one."""
    return bytes(data[box.start - SIZE_AND_KIND.size : box.end])  # type: ignore[index]


def write_box(kind: bytes, body: bytes, following_bytes: int = 0) -> bytes:
    """Return a box, of which so many bytes follow."""
    return SIZE_AND_KIND.pack(SIZE_AND_KIND.size + len(body) + following_bytes, kind) + body


def write_full_box(kind: bytes, entries: "np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]") -> bytes:
    return write_box(kind, struct.pack(">II", 0, len(entries)) + entries.tobytes())
