"""Checks of finished results, as players show them."""

from contextlib import suppress
from pathlib import Path

import av

from apigpu.encoder.v1 import encoder_pb2
from encoder.media import fragments, probe
from encoder.media.containers import MP4_DEMUXER, PACKETS_AS_STORED, open_container
from encoder.media.info import MediaInfo, Source, VideoStream, bad_input
from encoder.media.mp4_boxes import is_on_its_side
from encoder.media.sample_index import append_index
from encoder.operations.plan import MP4_TYPE, Plan
from servicekit.errors import InvalidArgument
from servicekit.playback import playback_fault


def finish_results(plan: Plan, result: Path) -> encoder_pb2.Summary:
    """Finish what the runs of a plan have written, and return what it says of it: a report, or its frames, length and
    size as players show it (all 0 where it is neither picture nor video), how it plays, of what it is composed.

    Raises InvalidArgument, which blames the plan's field, when a result or a further one beside it is not what the plan
    declares."""
    if plan.report is not None:
        return encoder_pb2.Summary(media=plan.report())
    if plan.finish is not None:
        plan.finish(result)
    for file in plan.files:
        _measure(plan, file.path(result), file.content_type)
    summary = _measure(plan, result, plan.content_type)
    if plan.plays:
        _note_playback(plan, result, summary)
    if plan.compose is not None:
        summary.composed.extend(plan.compose(result))
    if plan.extent is not None:
        extent = plan.extent()
        summary.frames_copied, summary.whole_reason = extent.frames_copied, extent.whole_reason
    return summary


def _note_playback(plan: Plan, result: Path, summary: encoder_pb2.Summary) -> None:
    """Say how a result plays, and append its index, which says where its samples are."""
    if (told := _playback(plan, result)) is not None:
        summary.playback.CopyFrom(told)
    with suppress(ValueError):  # without an index it is read whole
        summary.index_bytes = append_index(result)


def _playback(plan: Plan, result: Path) -> encoder_pb2.Playback | None:
    """Return how a result plays; None where it cannot be told: the result is no worse for that."""
    try:
        told = fragments.playback(result)
        if plan.is_head:
            told = fragments.without_last(told)
    except ValueError:
        return None
    return None if playback_fault(told, result.stat().st_size) else told


def _measure(plan: Plan, path: Path, content_type: str) -> encoder_pb2.Summary:
    if plan.compose is not None:
        return _measure_tracks(plan, path)
    if content_type == MP4_TYPE:
        return _measure_video(plan, path)
    if content_type.startswith("image/"):
        _, picture = _probe(plan, path, "picture")
        return encoder_pb2.Summary(frames=1, width=picture.width, height=picture.height)
    if not path.is_file() or not path.stat().st_size:
        raise bad_input(Source(plan.field, path), f"nothing came of it that could be written as {content_type}.")
    return encoder_pb2.Summary()


def _measure_video(plan: Plan, path: Path) -> encoder_pb2.Summary:
    info, video = _probe(plan, path, "video")
    if not video.frames or not video.decodes:
        raise bad_input(Source(plan.field, path), "not one frame of it could be decoded; send it again.")
    if plan.required_audio_field and not info.audio:
        source = Source(plan.required_audio_field, path)
        raise bad_input(source, "there is no sound in it; give audio that is longer.")
    width, height = video.rotated_size
    return encoder_pb2.Summary(frames=video.frames, duration_seconds=info.duration_seconds, width=width, height=height)


def _measure_tracks(plan: Plan, path: Path) -> encoder_pb2.Summary:
    """Return what the index of a video tells, whose samples are elsewhere: each was decoded where it was made."""
    with open_container(Source(plan.field, path), (MP4_DEMUXER,), more=PACKETS_AS_STORED) as opened:
        (video,), sound = opened.streams.video, opened.streams.audio
        if not video.frames or bool(sound) < bool(plan.required_audio_field):
            raise bad_input(Source(plan.field, path), "its pieces do not make the film that was planned.")
        seconds = (opened.duration or 0) / av.time_base
        sides = (video.height, video.width) if is_on_its_side(path) else (video.width, video.height)
        return encoder_pb2.Summary(frames=video.frames, duration_seconds=seconds, width=sides[0], height=sides[1])


def _probe(plan: Plan, path: Path, kind: str) -> tuple[MediaInfo, VideoStream]:
    try:
        return (probe.probe_video if kind == "video" else probe.probe_image)(Source("result", path))
    except (InvalidArgument, FileNotFoundError) as error:
        # FFmpeg was content, and yet there is nothing to show: it had nothing to make it of.
        text = f"the file is damaged, and no {kind} can be made of it; send it again, or convert it first."
        raise bad_input(Source(plan.field, path), text) from error
