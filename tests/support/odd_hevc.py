"""Videos of odd structure in H.265, small and short: what a film can be that runs of new frames are put into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import av

from encoder.splice import hevc
from tests.support import media

SECONDS, RATE, SIZE = 5.0, 25, "320x180"
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class OddHevc:
    """How a video is made, in a folder, and why all of it must be encoded, a part of the text, "" where it need not;
    at most how many frames of it are encoded for one cue of a third of a second; and how far libde265 (1.0.11) is from
    other decoders at frames of the source itself, in levels."""

    make: Make
    whole_reason: str = ""
    most: int = 75
    apart: float = 0.0


def _encoded(
    parameters: str = "",
    *options: str,
    seconds: float = SECONDS,
    size: str = SIZE,
    ending: str = "mp4",
    sound: bool = False,
) -> Make:
    def make(folder: Path) -> Path:
        path = folder / f"odd.{ending}"
        given = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={RATE}:duration={seconds}"]
        given += ["-f", "lavfi", "-i", f"sine=duration={seconds}"] if sound else []
        told = ":".join(filter(None, ("log-level=none:keyint=25:min-keyint=25:scenecut=0", parameters)))
        usual = ["-c:v", "libx265", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x265-params", told]
        media.run(*given, *usual, *options, path)
        return path

    return make


def _kvazaar(parameters: str) -> Make:
    def make(folder: Path) -> Path:
        path, source = folder / "odd.mp4", f"testsrc2=size=320x184:rate={RATE}:duration={SECONDS}"
        usual = ["-c:v", "libkvazaar", "-pix_fmt", "yuv420p", "-kvazaar-params", parameters]
        media.run("-f", "lavfi", "-i", source, *usual, path)
        return path

    return make


def _copied(*options: str, ending: str = "mp4", before: tuple[str, ...] = (), parameters: str = "") -> Make:
    def make(folder: Path) -> Path:
        plain = _encoded(parameters, sound=True, ending="plain.mp4")(folder)
        path = folder / f"odd.{ending}"
        media.run(*before, "-i", plain, "-map", "0", "-c", "copy", *options, path)
        return path

    return make


def _repacked(
    change: Callable[[hevc.HevcRecord], bytes], packet: Callable[[bytes, int], bytes], parameters: str = ""
) -> Make:
    """A video with another record of its track, and each packet, by its number, changed."""

    def make(folder: Path) -> Path:
        plain, path = _encoded(parameters, ending="plain.mp4")(folder), folder / "odd.mp4"
        with av.open(str(plain)) as given, av.open(str(path), "w") as made:
            stream = made.add_stream_from_template(given.streams.video[0])
            stream.codec_context.extradata = change(hevc.read_record(stream.codec_context.extradata or b""))
            for number, one in enumerate(given.demux(video=0)):
                if not one.size:
                    continue
                new = av.Packet(packet(bytes(one), number))
                new.pts, new.dts, new.time_base, new.is_keyframe = one.pts, one.dts, one.time_base, one.is_keyframe
                new.duration, new.stream = one.duration, stream
                made.mux(new)
        return path

    return make


def _same(record: hevc.HevcRecord) -> bytes:
    return record.to_bytes()


def _told_to_drop(is_told: Callable[[int, int], bool]) -> Callable[[bytes, int], bytes]:
    """Has slices of those kinds, of packets of those numbers, say that what was not shown yet is dropped."""

    def change(data: bytes, number: int) -> bytes:
        made, place = bytearray(data), 0
        for kind, unit in hevc.iter_units(memoryview(data), 4):
            place += 4
            if is_told(kind, number):
                made[place + 2] |= 0x40
            place += len(unit)
        return bytes(made)

    return change


_dropping = _told_to_drop(lambda kind, number: kind in hevc.IDR and number > 0)
# Where nothing stands before the first picture, and of pictures within an open group, it means nothing.
_dropping_at_first = _told_to_drop(lambda kind, number: kind in hevc.IDR and number == 0)
_dropping_within = _told_to_drop(lambda kind, _: kind == hevc.CRA)


def _second_layer(data: bytes, number: int) -> bytes:
    """Adds a unit of another layer, as of a second eye."""
    return data + b"\0\0\0\4\x02\x09\x80\x80"


def _many_sets(record: hevc.HevcRecord) -> bytes:
    return hevc.HevcRecord(
        record.head, 4, record.sps * hevc.MAX_SPS_SETS, record.pps, record.tail, record.vps, record.layers
    ).to_bytes()


def with_open_groups(folder: Path, seconds: float) -> Path:
    """A video as x265 makes most."""
    return _encoded(seconds=seconds)(folder)


NOT_PLAIN, UNTIMED, ELSEWHERE = "8 bits", "edit list", "MP4, MOV or Matroska"

FEW: Mapping[str, OddHevc] = {
    "plain": OddHevc(_encoded(sound=True)),
    "open-gop-without-b-frames": OddHevc(_encoded("bframes=0"), most=25),
    "pyramid": OddHevc(_encoded("bframes=4:b-adapt=0:b-pyramid=1")),
    "closed-gop": OddHevc(_encoded("open-gop=0"), most=25),
    "radl": OddHevc(_encoded("open-gop=0:radl=2:bframes=4:b-adapt=0")),
    "slices": OddHevc(_encoded("slices=3"), apart=0.1),
    "wavefront": OddHevc(_encoded("wpp=1:pools=2:ctu=16", size="320x240"), apart=0.1),
    "large-blocks": OddHevc(_encoded("min-cu-size=32")),
    "repeated-sets": OddHevc(
        _encoded("repeat-headers=1:info=0:aud=1:hrd=1:vbv-maxrate=2000:vbv-bufsize=2000"), apart=255
    ),
    "matroska": OddHevc(_copied(ending="mkv")),
    "ten-bits": OddHevc(_encoded("", "-pix_fmt", "yuv420p10le"), NOT_PLAIN),
    "edit-list": OddHevc(_copied(before=("-ss", "0.5")), UNTIMED),
    "few-pictures-to-predict-from": OddHevc(_kvazaar("ref=1,gop=0,period=25"), "pictures to predict from"),
}
MORE: Mapping[str, OddHevc] = {
    "no-wavefront": OddHevc(_encoded("wpp=0")),
    "intra-refresh": OddHevc(_encoded("intra-refresh=1:bframes=0")),
    "one-keyframe": OddHevc(_encoded("keyint=-1")),
    "layers-in-time": OddHevc(_encoded("temporal-layers=3:bframes=3:b-adapt=0")),
    "8-b-frames": OddHevc(_encoded("bframes=8:b-adapt=0:rc-lookahead=20")),
    "flat-b-frames": OddHevc(_encoded("bframes=2:b-pyramid=0")),
    "scaling-lists": OddHevc(_encoded("scaling-list=default")),
    "lossless-blocks": OddHevc(_encoded("cu-lossless=1")),
    "fields": OddHevc(_encoded("interlace=tff"), "interlaced"),
    "4:2:2": OddHevc(_encoded("", "-pix_fmt", "yuv422p"), NOT_PLAIN),
    "high-dynamic-range": OddHevc(_encoded("transfer=arib-std-b67:colorprim=bt2020:colormatrix=bt2020nc"), "dynamic"),
    "full-range": OddHevc(_encoded("range=full", "-vf", "scale=out_range=pc,format=yuvj420p", "-pix_fmt", "yuvj420p")),
    "wide-pixels": OddHevc(_encoded("", "-vf", "setsar=4/3")),
    "one-reference": OddHevc(_encoded("bframes=0:ref=1"), most=25),
    "kvazaar": OddHevc(_kvazaar("ref=4,gop=8,period=24,open-gop=1,mv-constraint=none")),
    "hev1": OddHevc(_copied("-tag:v", "hev1")),
    "fragments": OddHevc(_copied("-movflags", "frag_keyframe+empty_moov")),
    "cropped": OddHevc(_copied("-bsf:v", "hevc_metadata=crop_left=2:crop_top=4"), "cropped"),
    "other-aspect": OddHevc(_copied("-aspect", "4:3"), "shape of pixels"),
    "turned": OddHevc(_copied(before=("-display_rotation", "-90"))),
    "transport-stream": OddHevc(_copied(ending="ts"), ELSEWHERE),
    "cut-by-copying": OddHevc(_copied("-ss", "1.5", ending="mkv"), "IDR picture"),
    "idr-that-drops": OddHevc(_repacked(_same, _dropping, "open-gop=0"), "drop others"),
    "cra-that-would-drop": OddHevc(_repacked(_same, _dropping_within)),
    "first-that-would-drop": OddHevc(_repacked(_same, _dropping_at_first, "open-gop=0"), most=25),
    "two-eyes": OddHevc(_repacked(_same, _second_layer), "plain slices"),
    "many-sets": OddHevc(_repacked(_many_sets, lambda data, _: data), "too many"),
    "h264": OddHevc(_copied("-c:v", "libx264"), ELSEWHERE),
}
