"""addaudio: a soundtrack on a video, in place of its own sound or mixed with it."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from apigpu.v1 import video_pb2
from encoder.audio import mixing, soundtrack, tracks
from encoder.audio.soundtrack import Message, NamedSeconds, SoundtrackSpec
from encoder.ffmpeg import filters
from encoder.ffmpeg.command import COPY, FfmpegRun
from encoder.media import mp4_boxes, packets, probe
from encoder.media.info import AudioStream, MediaInfo, Source, VideoStream, bad_input
from encoder.media.outlines import OUTLINE_TOO_SMALL
from encoder.operations.deviations import (
    Note,
    cut_off_notes,
    encoded_notes,
    gather,
    loss_notes,
    mix_notes,
    sound_choice_notes,
    video_notes,
)
from encoder.operations.plan import COPIED_CODECS, Plan, PlanContext, container, copy_video, is_streamable
from servicekit.errors import InvalidArgument
from servicekit.faults import Faults

# AVI and MPEG-PS do not time every packet, and MP4 must.
COPIED_FROM = ("mov", "matroska", "mpegts", "flv")
# Less than a picture of any usual video, and sound that nobody hears as such.
MIN_SECONDS, USUAL_RATE = 0.1, 25
STATS = "loudness.json"
NOTHING_TO_MIX = "soundtrack.mix: the video has no sound of its own; the soundtrack is heard alone."
NO_ORIGINAL = video_pb2.Warning(reason="NO_ORIGINAL_AUDIO", message=NOTHING_TO_MIX)


def plan(request: video_pb2.AddAudioRequest, context: PlanContext) -> Plan:
    """Plan an addaudio task. The video is copied, not encoded again, wherever MP4 can hold it; its cut is to the frame.
    A fragmented file can be longer by a few frames, which others need: its index is written before its end is known."""
    container_options = container(request)
    faults = Faults()
    with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
        picture = context.source("url_video")
        info, video = probe.probe_video(picture)
    with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
        sound = context.source("url_audio")
        music_info, music = probe.probe_audio(sound)
    faults.check()
    options = request.soundtrack
    is_plain = options == Message()
    original = info.sound if options.mix else None
    kept_audio = [original] if original else []
    video_end = packets.end_seconds(picture, info, video, kept_audio)
    music_end = packets.end_seconds(sound, music_info, music)
    if min(video_end, music_end) <= 0:
        raise bad_input(sound, "there is no sound in it; give audio that is longer.")
    seconds = _result_seconds(options, video_end, music_end)
    _check_options(options, seconds, video_end, music_end)
    _check_length(sound, options, seconds, video)
    notes = [
        *_video_notes(picture, info, mixes=options.mix),
        *_music_notes(sound, music_info, music, is_plain=is_plain),
    ]
    spec = SoundtrackSpec(options, seconds, music_end - options.start)
    is_copied = video.codec in COPIED_CODECS and info.demuxer in COPIED_FROM and not video.sizes
    is_cut = is_copied and seconds < video_end
    kept_packets = packets.packets_before(picture, info, video, seconds, kept_audio) if is_cut else 0

    def streams() -> tuple[Any, Any, dict[str, str]]:
        """Return picture, sound and options of the sound; made anew for each run, as a graph is used but once."""
        video_input = filters.open_input(picture.path.name, info)
        music_stream = filters.open_input(sound.path.name, music_info)[str(music.index)]
        if is_plain:
            return video_input, music_stream, _audio_options(music)
        own = mixing.mix_down(video_input[str(original.index)], original) if original else None
        track = soundtrack.mix(mixing.mix_down(music_stream, music), own, spec)
        return video_input, track, {**tracks.AAC, **_language_options(original)}

    def measuring_run() -> FfmpegRun:
        _, audio, _ = streams()
        return context.output((), {"f": "null"}).run(soundtrack.measure(audio, STATS), {})

    def making_run() -> FfmpegRun:
        video_input, audio, audio_options = streams()
        if options.HasField("loudness"):
            gain_db = soundtrack.gain_for(context.folder / STATS, options.loudness)
            audio = soundtrack.apply_gain(audio, gain_db)
        output_options = {"t": f"{seconds:.6f}", **audio_options, **container_options}
        output = context.output((audio,), output_options, picture, picture)
        if is_copied:
            return output.run(video_input[str(video.index)], _copy_options(video, kept_packets))
        frames = filters.normalize_picture(video_input, info, video)
        return context.codec.make_run(filters.filtered_frames(frames, video_input, video, kept_audio), output)

    return Plan(
        runs=(measuring_run(), making_run) if options.HasField("loudness") else (making_run(),),
        field=picture.field,
        codec=COPY if is_copied else context.codec.name,
        duration_seconds=seconds,
        frames_total=round(video.frames * min(seconds / video_end, 1)),
        warnings=(*((NO_ORIGINAL,) if options.mix and not original else ()), *gather(notes)),
        finish=partial(mp4_boxes.end_edit_lists, seconds=seconds) if is_copied and not is_streamable(request) else None,
        streamable=is_streamable(request),
        required_audio_field=sound.field,
    )


def _video_notes(source: Source, info: MediaInfo, *, mixes: bool) -> Iterator[Note]:
    """Yield what the result lacks of the video, or has otherwise; of its sound only where it is not replaced."""
    yield from video_notes(source, info)
    yield from loss_notes(source, info if mixes else replace(info, unreadable_audio=()))
    if mixes and info.sound is not None:
        yield from sound_choice_notes(source, info, "mixed")
        yield from mix_notes(source, info.sound)


def _music_notes(source: Source, info: MediaInfo, music: AudioStream, *, is_plain: bool) -> Iterator[Note]:
    """Yield what of the soundtrack is left out, or heard otherwise than it is."""
    yield from cut_off_notes(source, info, music.duration_seconds)
    yield from sound_choice_notes(source, info, "taken")
    if not is_plain:
        yield from mix_notes(source, music)
    elif not tracks.is_small_aac(music):
        yield from encoded_notes(source, music)


def _language_options(original: AudioStream | None) -> dict[str, str]:
    """Return options that name the language of the video's own sound, which filters do not hand on."""
    return {"metadata:s:a:0": f"language={original.language}"} if original and original.language else {}


def _result_seconds(options: Message, video_end: float, music_end: float) -> float:
    """Return the video's length where its own sound is kept or the music is looped, else the shorter one's."""
    if options.mix or options.loop:
        return video_end
    return min(video_end, options.delay + music_end - options.start)


def _check_length(sound: Source, options: Message, seconds: float, video: VideoStream) -> None:
    """Raise InvalidArgument for sound that would leave less than one picture of the video."""
    shortest = min(1 / float(video.frame_rate or USUAL_RATE), MIN_SECONDS)
    if not options.mix and not options.loop and seconds < shortest:
        text = (
            f"what is to be heard of it lasts {seconds:.3f} s, less than one picture of the video; give longer audio, "
            "or set soundtrack.mix or soundtrack.loop, which keep the video's length."
        )
        raise bad_input(sound, text)


def _check_options(options: Message, seconds: float, video_end: float, music_end: float) -> None:
    """Raise InvalidArgument for options that contradict each other or the inputs."""
    for name in ("duck", "original_gain"):
        if getattr(options, name) and not options.mix:
            text = "it concerns the video's own sound, which is replaced; set soundtrack.mix too."
            raise InvalidArgument.field(f"soundtrack.{name}", text)
    soundtrack.check_times(
        options, NamedSeconds("audio", music_end), NamedSeconds("video", video_end), NamedSeconds("result", seconds)
    )


def _audio_options(music: AudioStream) -> dict[str, str]:
    """Return options that copy AAC that is small enough, and make anything else AAC."""
    return {"c:a": "copy"} if tracks.is_small_aac(music) else tracks.encode(music)


def _copy_options(video: VideoStream, count: int) -> dict[str, str]:
    """Return options that copy the video, or its first `count` packets; all of them when that is 0."""
    return copy_video(video) | ({"frames:v": str(count)} if count else {})
