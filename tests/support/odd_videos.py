"""Videos of odd structure in H.264, small and short: what a film can be that runs of new frames are put into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support import media

SECONDS, RATE, SIZE = 5.0, 25, "96x64"
UNEVEN = ("-vf", "settb=1/90000,setpts='(N*0.04+mod(N,3)*0.007)/TB'", "-fps_mode", "passthrough")
Make = Callable[[Path], Path]


@dataclass(frozen=True)
class OddVideo:
    """How a video is made, in a folder; and why all of it must be encoded, a part of the text, "" where it need not."""

    make: Make
    whole_reason: str = ""


def _encoded(
    *options: str, rate: str = str(RATE), seconds: float = SECONDS, ending: str = "mp4", size: str = SIZE
) -> Make:
    def make(folder: Path) -> Path:
        path = folder / f"odd.{ending}"
        source = f"testsrc2=size={size}:rate={rate}:duration={seconds}"
        usual = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "25"]
        media.run("-f", "lavfi", "-i", source, *usual, *options, path)
        return path

    return make


def _x264(parameters: str) -> Make:
    return _encoded("-x264-params", parameters)


def _copied(*options: str, ending: str = "mp4", before: tuple[str, ...] = ()) -> Make:
    """A plain video with sound, copied with these options."""

    def make(folder: Path) -> Path:
        plain = media.video(folder / "plain.mp4", SECONDS, SIZE, RATE, True, "-preset", "veryfast", "-g", "25")
        path = folder / f"odd.{ending}"
        media.run(*before, "-i", plain, "-map", "0", "-c", "copy", *options, path)
        return path

    return make


def _shifted(stream: str, ending: str = "mp4") -> Make:
    """A plain video of which the picture (v) or the sound (a) begins later than the other."""

    def make(folder: Path) -> Path:
        plain = media.video(folder / "plain.mp4", SECONDS, SIZE, RATE, True, "-preset", "veryfast", "-g", "25")
        path, other = folder / f"odd.{ending}", "a" if stream == "v" else "v"
        late = ["-itsoffset", "0.7", "-i", plain]
        media.run("-i", plain, *late, "-map", f"0:{other}", "-map", f"1:{stream}", "-c", "copy", path)
        return path

    return make


def _turned(degrees: str, *mirrored: str, wide_pixels: bool = False) -> Make:
    """A video with sound as phones store it: turned by its container, and mirrored."""

    def make(folder: Path) -> Path:
        usual = ["-preset", "veryfast", "-g", "25", *(("-vf", "setsar=4/3") if wide_pixels else ())]
        plain, path = media.video(folder / "plain.mp4", SECONDS, SIZE, RATE, True, *usual), folder / "odd.mp4"
        media.run("-display_rotation", degrees, *mirrored, "-i", plain, "-map", "0", "-c", "copy", path)
        return path

    return make


def _beside(*inputs: str, options: tuple[str, ...], ending: str = "mp4") -> Make:
    """A plain video with sound, and other tracks beside: `inputs` of FFmpeg and the `options` of the output."""

    def make(folder: Path) -> Path:
        plain = media.video(folder / "plain.mp4", SECONDS, SIZE, RATE, True, "-preset", "veryfast", "-g", "25")
        media.srt(folder / "words.srt", [(1, 2, "Beside")])
        given = [str(folder / one) if one == "words.srt" else one for one in inputs]
        path = folder / f"odd.{ending}"
        media.run("-i", plain, *given, "-c:v", "copy", *options, path)
        return path

    return make


def _changing(folder: Path) -> Path:
    """Two films one after the other, with their parameters in the packets; the header has those of the first."""
    halves = [_encoded("-x264-params", f"ref={count}", seconds=3, ending=f"{count}.ts")(folder) for count in (1, 3)]
    path = folder / "odd.mp4"
    media.run("-i", "concat:" + "|".join(map(str, halves)), "-c", "copy", path)
    return path


def _cut_sound(seconds: float) -> Make:
    return _beside("-f", "lavfi", "-i", f"sine=duration={seconds}", options=("-map", "0:v", "-map", "1"))


NOT_PLAIN, UNTIMED, ELSEWHERE = "8 bits", "edit list", "MP4, MOV or Matroska"

FEW: Mapping[str, OddVideo] = {
    "pyramid": OddVideo(_x264("bframes=3:b-adapt=0:b-pyramid=normal:ref=4")),
    "open-gop": OddVideo(_x264("open-gop=1")),
    "no-b-frames": OddVideo(_encoded("-profile:v", "baseline")),
    "uneven-times": OddVideo(_encoded(*UNEVEN, "-enc_time_base", "1:90000")),
    "matroska": OddVideo(_shifted("v", "mkv")),
    "fragmented": OddVideo(_copied("-movflags", "frag_keyframe+empty_moov")),
    "turned": OddVideo(_turned("-90")),
    "late-picture": OddVideo(_shifted("v")),
    "interlaced": OddVideo(_x264("tff=1"), "interlaced"),
    "ten-bits": OddVideo(_encoded("-pix_fmt", "yuv420p10le"), NOT_PLAIN),
    "edit-list": OddVideo(_copied(before=("-ss", "0.5")), UNTIMED),
}
MORE: Mapping[str, OddVideo] = {
    "plain": OddVideo(_encoded()),
    "strict-pyramid": OddVideo(_x264("bframes=3:b-pyramid=strict:ref=4")),
    "16-b-frames": OddVideo(_x264("bframes=16:b-adapt=0:ref=4")),
    "b-frames-flat": OddVideo(_x264("bframes=2:b-pyramid=none:ref=1")),
    "open-gop-bluray": OddVideo(_x264("open-gop=1:bluray-compat=1")),
    "intra-refresh": OddVideo(_x264("intra-refresh=1")),
    "one-keyframe": OddVideo(_x264("keyint=infinite:scenecut=0")),
    "keyframes-alone": OddVideo(_x264("keyint=1")),
    "short-gop": OddVideo(_x264("keyint=5:min-keyint=5:scenecut=0")),
    "many-scene-cuts": OddVideo(_x264("scenecut=100")),
    "main": OddVideo(_encoded("-profile:v", "main")),
    "ultrafast": OddVideo(_encoded("-preset", "ultrafast")),
    "slow": OddVideo(_encoded("-preset", "slow")),
    "placebo": OddVideo(_encoded("-preset", "placebo")),
    "no-cabac": OddVideo(_x264("cabac=0")),
    "no-8x8": OddVideo(_x264("8x8dct=0")),
    "16-references": OddVideo(_x264("ref=16")),
    "1-reference": OddVideo(_x264("ref=1:b-pyramid=none")),
    "weighted": OddVideo(_x264("weightp=2:weightb=1")),
    "constrained-intra": OddVideo(_x264("constrained-intra=1")),
    "matrices": OddVideo(_x264("cqm=jvt")),
    "slices": OddVideo(_x264("slices=4")),
    "many-slices": OddVideo(_x264("slice-max-size=100")),
    "delimiters": OddVideo(_x264("aud=1")),
    "constant-rate": OddVideo(_x264("nal-hrd=cbr:vbv-maxrate=300:vbv-bufsize=300:bitrate=300")),
    "variable-rate": OddVideo(_x264("nal-hrd=vbr:vbv-maxrate=300:vbv-bufsize=300")),
    "picture-structure": OddVideo(_x264("pic-struct=1")),
    "number-5": OddVideo(_x264("sps-id=5")),
    "number-31": OddVideo(_x264("sps-id=31")),
    "level-1": OddVideo(_encoded("-level", "1")),
    "level-1b": OddVideo(_encoded("-level", "1b")),
    "level-6.2": OddVideo(_encoded("-level", "6.2")),
    "overscan": OddVideo(_x264("overscan=show")),
    "television": OddVideo(_x264("colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m")),
    "wide-pixels": OddVideo(_encoded("-vf", "setsar=4/3")),
    "odd-blocks": OddVideo(_encoded(size="130x98")),
    "1001": OddVideo(_encoded(rate="30000/1001")),
    "60-a-second": OddVideo(_encoded(rate="60")),
    "uneven-matroska": OddVideo(_encoded(*UNEVEN, "-enc_time_base", "1:1000", ending="mkv")),
    "mov": OddVideo(_copied(ending="mov")),
    "plain-matroska": OddVideo(_copied(ending="mkv")),
    "late-sound": OddVideo(_shifted("a")),
    "large-clock": OddVideo(_copied("-video_track_timescale", "1000000")),
    "fragments-of-frames": OddVideo(_copied("-movflags", "frag_every_frame+empty_moov+default_base_moof")),
    "silent-with-title": OddVideo(_encoded("-metadata", "title=Hello")),
    "fake-interlaced": OddVideo(_x264("fake-interlaced=1"), NOT_PLAIN),
    "bottom-field": OddVideo(_x264("bff=1"), "interlaced"),
    "4:2:2": OddVideo(_encoded("-pix_fmt", "yuv422p"), NOT_PLAIN),
    "4:4:4": OddVideo(_encoded("-pix_fmt", "yuv444p"), NOT_PLAIN),
    "lossless": OddVideo(_encoded("-qp", "0"), NOT_PLAIN),
    "full-range": OddVideo(_encoded("-vf", "scale=out_range=pc,format=yuvj420p", "-pix_fmt", "yuvj420p")),
    "hlg": OddVideo(_x264("transfer=arib-std-b67:colorprim=bt2020:colormatrix=bt2020nc"), "high dynamic range"),
    "cropped": OddVideo(_copied("-bsf:v", "h264_metadata=crop_left=2:crop_top=4"), "cropped"),
    "cropped-right": OddVideo(_copied("-bsf:v", "h264_metadata=crop_right=20"), "cropped"),
    "other-aspect": OddVideo(_copied("-aspect", "4:3"), "shape of pixels"),
    "turned-left": OddVideo(_turned("90")),
    "upside-down": OddVideo(_turned("180")),
    "mirrored": OddVideo(_turned("0", "-display_hflip")),
    "mirrored-down": OddVideo(_turned("0", "-display_vflip")),
    "mirrored-right": OddVideo(_turned("-90", "-display_hflip")),
    "mirrored-left": OddVideo(_turned("90", "-display_hflip")),
    "turned-with-wide-pixels": OddVideo(_turned("-90", wide_pixels=True)),
    "turned-a-little": OddVideo(_turned("30"), "quarters of a turn"),
    "transport-stream": OddVideo(_copied(ending="ts"), ELSEWHERE),
    "flash": OddVideo(_copied(ending="flv"), ELSEWHERE),
    "avi": OddVideo(_copied(ending="avi"), ELSEWHERE),
    "hevc": OddVideo(_encoded("-c:v", "libx265", "-x265-params", "log-level=error"), ELSEWHERE),
    "short-sound": OddVideo(_cut_sound(3.3)),
    "long-sound": OddVideo(_cut_sound(6.7)),
    "several-sounds": OddVideo(
        _beside("-f", "lavfi", "-i", "sine=330:duration=5", options=("-map", "0", "-map", "1", "-c:a:0", "copy"))
    ),
    "subtitle-track": OddVideo(
        _beside("-i", "words.srt", options=("-map", "0", "-map", "1", "-c:a", "copy", "-c:s", "mov_text"))
    ),
    "subtitle-track-matroska": OddVideo(
        _beside("-i", "words.srt", options=("-map", "0", "-map", "1", "-c:a", "copy", "-c:s", "srt"), ending="mkv")
    ),
    "timecode-track": OddVideo(_copied("-timecode", "01:00:00:00", ending="mov")),
    "times-below-zero": OddVideo(_copied("-output_ts_offset", "-0.4"), UNTIMED),
    "times-far-on-matroska": OddVideo(_copied("-output_ts_offset", "1000", ending="mkv")),
    "recovery-points": OddVideo(_x264("open-gop=1:bframes=2:b-adapt=0:keyint=10")),
    "parameters-that-change": OddVideo(_changing, "parameters change"),
    "av1": OddVideo(_encoded("-c:v", "libsvtav1", "-preset", "12"), ELSEWHERE),
    "vp9-webm": OddVideo(_encoded("-c:v", "libvpx-vp9", "-deadline", "realtime", ending="webm"), ELSEWHERE),
    "mpeg4": OddVideo(_encoded("-c:v", "mpeg4"), ELSEWHERE),
    "slow-pictures": OddVideo(_encoded(rate="2", seconds=60.0), "stand for long"),
}
