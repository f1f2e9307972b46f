"""addaudio: a soundtrack on a video, in place of its own sound or mixed with it."""

from pathlib import Path
from typing import Any

from apigpu.v1 import video_pb2
from encoder.audio import soundtrack
from encoder.audio.soundtrack import Message, Wanted
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import FfmpegRun
from encoder.media import mp4_boxes, probe
from encoder.operations.output import AAC, COPIED_CODECS, container, copied_video, is_streamable
from encoder.operations.plan import COPY, AudioStream, MediaInfo, Plan, PlanContext, PlanWarning, VideoStream
from servicekit.errors import InvalidArgument

# AVI and MPEG-PS do not time every packet, and MP4 must.
COPIED_FROM = ("mov", "matroska", "mpegts", "flv")
# Bit/s; with room for what an encoder that was told 192 kbit/s takes at times.
MAX_COPIED_BIT_RATE = 200_000
MIN_LOOP_SECONDS = 0.1
STATS = "loudness.json"
NOTHING_TO_MIX = "soundtrack.mix: the video has no sound of its own; the soundtrack is heard alone."
NO_ORIGINAL = PlanWarning("NO_ORIGINAL_AUDIO", NOTHING_TO_MIX)
OTHERS_DROPPED = PlanWarning(
    "OTHER_AUDIO_DROPPED",
    "soundtrack.mix: the video has several audio tracks; the first is mixed, the others are left out. Give a video "
    "that has the wanted one first.",
)


def plan(request: video_pb2.AddAudioRequest, materials: PlanContext) -> Plan:
    """See Operation. The video is copied, not encoded again, wherever MP4 can hold it; its cut is to the frame. A
    fragmented file can be longer by a few frames, which others need: its index is written before its end is known."""
    kind = container(request)
    picture, sound = materials.source("url_video"), materials.source("url_audio")
    info, video = probe.probe_video(picture)
    heard_info, heard = probe.probe_audio(sound)
    options = request.soundtrack
    original = info.audio[0] if options.mix and info.audio else None
    kept = [original] if original else []
    video_end, music_end = probe.end_seconds(picture, info, video, kept), probe.end_seconds(sound, heard_info, heard)
    if min(video_end, music_end) <= 0:
        raise probe.fault(sound, "there is no sound in it; give audio that is longer.")
    seconds = _length(options, video_end, music_end)
    _check(options, seconds, video_end, music_end)
    wanted = Wanted(options, seconds, music_end - options.start)
    copied = video.codec in COPIED_CODECS and info.demuxer in COPIED_FROM
    packets = probe.packets_before(picture, info, video, seconds, kept) if copied and seconds < video_end else 0

    def finish(path: Path) -> None:
        mp4_boxes.edit_list_end(path, seconds)

    def streams() -> tuple[Any, Any, dict[str, str]]:
        """Picture, sound and options of the sound; made anew for each run, as a graph is used but once."""
        given = filters.opened(picture.path.name, info)
        music = filters.opened(sound.path.name, heard_info)[str(heard.index)]
        if options == Message():
            return given, music, _kept(heard)
        own = given[str(original.index)] if original else None
        return given, soundtrack.mixed(music, own, wanted), {**AAC, **_language(original)}

    def measuring() -> FfmpegRun:
        _, heard_stream, _ = streams()
        around = materials.around((), {"f": "null"})
        return around.run(soundtrack.measured(heard_stream, STATS), {})

    def making() -> FfmpegRun:
        given, heard_stream, sound_options = streams()
        if options.HasField("loudness"):
            gain = soundtrack.gain_for(materials.folder / STATS, options.loudness)
            heard_stream = soundtrack.at_gain(heard_stream, gain)
        around = materials.around((heard_stream,), {"t": f"{seconds:.6f}", **sound_options, **kind})
        if copied:
            return around.run(given[str(video.index)], _copied(video, packets))
        shown = filters.picture(given, info, video)
        return materials.codec.step(filters.filtered(shown, given, video, kept), around)

    return Plan(
        passes=(measuring(), making) if options.HasField("loudness") else (making(),),
        field=picture.field,
        codec=COPY if copied else materials.codec.name,
        duration_seconds=seconds,
        frames_total=round(video.frames * min(seconds / video_end, 1)),
        warnings=_warnings(info) if options.mix else (),
        finish=finish if copied and not is_streamable(request) else None,
        flows=is_streamable(request),
        heard=sound.field,
    )


def _warnings(info: MediaInfo) -> tuple[PlanWarning, ...]:
    """What is to be told of a mix."""
    if not info.audio:
        return (NO_ORIGINAL,)
    return (OTHERS_DROPPED,) if len(info.audio) > 1 else ()


def _language(original: AudioStream | None) -> dict[str, str]:
    """Options that name the language of the video's own sound, which filters do not hand on."""
    return {"metadata:s:a:0": f"language={original.language}"} if original and original.language else {}


def _length(options: Message, video_end: float, music_end: float) -> float:
    """Seconds of the result: the video's where its own sound is kept or the music is looped, else the shorter's."""
    if options.mix or options.loop:
        return video_end
    return min(video_end, options.delay + music_end - options.start)


def _check(options: Message, seconds: float, video_end: float, music_end: float) -> None:
    """Raise InvalidArgument for options that contradict each other or the inputs."""
    for name in ("duck", "original_gain"):
        if getattr(options, name) and not options.mix:
            raise _wrong(name, "it concerns the video's own sound, which is replaced; set soundtrack.mix too.")
    if options.start >= music_end:
        raise _wrong("start", f"the audio ends at {music_end:.3f} s, before that; give less.")
    if options.delay >= video_end:
        raise _wrong("delay", f"the video ends at {video_end:.3f} s, before that; give less.")
    if options.loop and music_end - options.start < MIN_LOOP_SECONDS:
        raise _wrong("loop", f"less than {MIN_LOOP_SECONDS:g} s of audio are left to repeat; give more.")
    if options.fade_in + options.fade_out > seconds:
        raise _wrong("fade_out", f"the fades are longer than the result, {seconds:.3f} s; make them shorter.")


def _wrong(name: str, text: str) -> InvalidArgument:
    field = f"soundtrack.{name}"
    return InvalidArgument(f"{field}: {text}", fields={field: text})


def _kept(heard: AudioStream) -> dict[str, str]:
    """AAC that is small enough stays as it is."""
    small = heard.codec == "aac" and 0 < heard.bit_rate <= MAX_COPIED_BIT_RATE
    return {"c:a": "copy"} if small else dict(AAC)


def _copied(video: VideoStream, packets: int) -> dict[str, str]:
    """Options that copy the video, or its first `packets`; all of them when that is 0."""
    return copied_video(video) | ({"frames:v": str(packets)} if packets else {})
