"""addaudio: a soundtrack on a video, in place of its own sound or mixed with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
    given = _inputs(context)
    options = request.soundtrack
    is_plain = options == Message()
    original = given.info.sound if options.mix else None
    kept_audio = [original] if original else []
    video_end = packets.end_seconds(given.picture, given.info, given.video, kept_audio)
    music_end = packets.end_seconds(given.sound, given.music_info, given.music)
    if min(video_end, music_end) <= 0:
        raise bad_input(given.sound, "there is no sound in it; give audio that is longer.")
    seconds = _result_seconds(options, video_end, music_end)
    _check_options(options, seconds, video_end, music_end)
    _check_length(given.sound, options, seconds, given.video)
    notes = [
        *_video_notes(given.picture, given.info, mixes=options.mix),
        *_music_notes(given.sound, given.music_info, given.music, is_plain=is_plain),
    ]
    is_copied = given.video.codec in COPIED_CODECS and given.info.demuxer in COPIED_FROM and not given.video.sizes
    runs = _SoundtrackRuns(
        context,
        given,
        SoundtrackSpec(options, seconds, music_end - options.start),
        is_plain,
        original,
        is_copied,
        is_cut=seconds < video_end,
        container_options=container_options,
    )
    return Plan(
        runs=(runs.measuring(), runs.making) if options.HasField("loudness") else (runs.making(),),
        field=given.picture.field,
        codec=COPY if is_copied else context.codec.name,
        duration_seconds=seconds,
        frames_total=round(given.video.frames * min(seconds / video_end, 1)),
        warnings=(*((NO_ORIGINAL,) if options.mix and not original else ()), *gather(notes)),
        finish=partial(mp4_boxes.end_edit_lists, seconds=seconds) if is_copied and not is_streamable(request) else None,
        streamable=is_streamable(request),
        required_audio_field=given.sound.field,
    )


@dataclass(frozen=True)
class _Inputs:
    """The video, the audio, and what is taken of each."""

    picture: Source
    info: MediaInfo
    video: VideoStream
    sound: Source
    music_info: MediaInfo
    music: AudioStream


def _inputs(context: PlanContext) -> _Inputs:
    """Return the inputs. Raises what is wrong with any of them."""
    faults = Faults()
    with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
        picture = context.source("url_video")
        info, video = probe.probe_video(picture)
    with faults.gathering(but=(OUTLINE_TOO_SMALL,)):
        sound = context.source("url_audio")
        music_info, music = probe.probe_audio(sound)
    faults.check()
    return _Inputs(picture, info, video, sound, music_info, music)


@dataclass(frozen=True)
class _SoundtrackRuns:
    """The runs of FFmpeg that measure a soundtrack, and put it to a video. `original` is the video's own sound, where
    that is mixed in; a plain soundtrack is put there as it is; the video is copied, and cut, or encoded."""

    context: PlanContext
    given: _Inputs
    spec: SoundtrackSpec
    is_plain: bool
    original: AudioStream | None
    is_copied: bool
    is_cut: bool
    container_options: Mapping[str, Any]

    def measuring(self) -> FfmpegRun:
        """Return the run that measures how loud it is."""
        _, audio, _ = self._streams()
        return self.context.output((), {"f": "null"}).run(soundtrack.measure(audio, STATS), {})

    def making(self) -> FfmpegRun:
        """Return the run that makes the result, once its loudness is measured where one is wanted."""
        given, options = self.given, self.spec.options
        video_input, audio, audio_options = self._streams()
        if options.HasField("loudness"):
            gain_db = soundtrack.gain_for(self.context.folder / STATS, options.loudness)
            audio = soundtrack.apply_gain(audio, gain_db)
        output_options = {"t": f"{self.spec.seconds:.6f}", **audio_options, **self.container_options}
        output = self.context.output((audio,), output_options, given.picture, given.picture)
        if self.is_copied:
            return output.run(video_input[str(given.video.index)], _copy_options(given.video, self._kept_packets()))
        frames = filters.normalize_picture(video_input, given.info, given.video)
        frames = filters.filtered_frames(frames, video_input, given.video, self._kept_audio())
        return self.context.codec.make_run(frames, output)

    def _streams(self) -> tuple[Any, Any, dict[str, str]]:
        """Return picture, sound and options of the sound; made anew for each run, as a graph is used but once."""
        given, original = self.given, self.original
        video_input = filters.open_input(given.picture.path.name, given.info)
        music_stream = filters.open_input(given.sound.path.name, given.music_info)[str(given.music.index)]
        if self.is_plain:
            return video_input, music_stream, _audio_options(given.music)
        own = mixing.mix_down(video_input[str(original.index)], original) if original else None
        track = soundtrack.mix(mixing.mix_down(music_stream, given.music), own, self.spec)
        return video_input, track, {**tracks.AAC, **_language_options(original)}

    def _kept_audio(self) -> list[AudioStream]:
        return [self.original] if self.original else []

    def _kept_packets(self) -> int:
        """Return how many packets of a video that is cut are copied; 0: all."""
        if not self.is_cut:
            return 0
        given = self.given
        return packets.packets_before(given.picture, given.info, given.video, self.spec.seconds, self._kept_audio())


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
    return copy_video(video.codec) | ({"frames:v": str(count)} if count else {})
