"""The command that tells what a file holds, for people or as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from api_gpu.cli.operations import (
    ANY,
    SOURCES,
    STANDARD_INPUT_HELP,
    DryRunOption,
    argument,
    flag_parameters,
    flags_of_operation,
    options_from,
)
from apigpu.options import OPERATIONS

if TYPE_CHECKING:
    from api_gpu.client import Client
    from api_gpu.jobs import Job
    from apigpu.v1 import probe_pb2

NAME = "probe"
KIBIBYTE = 1024


def command() -> Callable[..., None]:
    """Return the command."""
    operation = OPERATIONS[NAME]
    flags = flags_of_operation(operation)

    def run(context: typer.Context, file: str, dry_run: bool = False, **values: Any) -> None:
        from api_gpu.assets import check_readable
        from api_gpu.cli.run import JobRunner, print_warnings, source_list, with_standard_input

        options = options_from(flags, values)

        def submit(client: Client, uploaded: Any) -> Job:
            return client.probe(uploaded["file"], **options)

        sources = with_standard_input({"file": file})
        check_readable(source_list(sources))
        with context.obj.client() as client, context.obj.display() as display:
            runner = JobRunner(client.quoting() if dry_run else client, display, context.obj)
            job = runner.run(sources, submit).checked()
        print_warnings(job.warnings)
        if job.media is not None:
            context.obj.show(job.media, lambda media: print(*lines(media), sep="\n"))

    (key, wanted), *_ = operation.inputs.items()
    parameters = [
        inspect.Parameter("context", ANY, annotation=typer.Context),
        argument(key, wanted),
        inspect.Parameter("dry_run", ANY, default=False, annotation=DryRunOption),
        *flag_parameters(flags, operation.inputs),
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    run.__name__ = NAME
    run.__doc__ = "\n\n".join([operation.help, f"{SOURCES}\n{STANDARD_INPUT_HELP}"])
    return run


def lines(media: probe_pb2.MediaReport) -> Iterator[str]:
    """Yield what a file holds, a line for each thing in it."""
    wholeness = ("whole" if media.whole else "cut off") if media.HasField("whole") else ""
    kind = type(media).Kind.Name(media.kind).lower()
    yield _joined(kind, media.container, _size(media.size_bytes), _seconds(media), _rate(media), wholeness)
    for video in media.video:
        yield f"  video {video.stream}: " + _joined(*_video(video))
    for audio in media.audio:
        yield f"  audio {audio.stream}: " + _joined(*_audio(audio))
    for track in media.subtitles:
        marks = [name for name in ("default", "forced") if getattr(track, name)]
        yield f"  subtitles {track.stream}: " + _joined(track.codec, track.language, *marks)
    if media.HasField("image"):
        yield "  image: " + _joined(*_image(media.image))
    if media.HasField("captions"):
        yield "  captions: " + _joined(*_captions(media.captions))


def _video(video: probe_pb2.VideoTrack) -> Iterator[str]:
    yield f"{video.codec} ({video.profile})" if video.profile else video.codec
    yield f"{video.width}x{video.height}"
    if video.rotation or video.pixel_aspect != 1:
        yield f"shown as {video.shown_width}x{video.shown_height}"
    if video.frame_rate:
        yield f"{video.frame_rate:.6g} fps" + (" on average" if video.variable_frame_rate else "")
    yield f"{video.frames} frames" if video.frames else ""
    yield f"{video.bit_depth} bit" if video.bit_depth else ""
    yield video.color.hdr or video.color.primaries
    yield video.language
    yield "cannot be decoded" if video.HasField("decodable") and not video.decodable else ""


def _audio(audio: probe_pb2.AudioTrack) -> Iterator[str]:
    yield f"{audio.codec} ({audio.profile})" if audio.profile else audio.codec
    yield f"{audio.sample_rate} Hz" if audio.sample_rate else ""
    yield audio.layout or (f"{audio.channels} channels" if audio.channels else "")
    yield _rate(audio)
    yield audio.language
    if audio.HasField("loudness"):
        loudness = audio.loudness
        yield f"{loudness.integrated_lufs:.1f} LUFS" if loudness.HasField("integrated_lufs") else "silent"
        yield f"peak {loudness.true_peak_dbtp:.1f} dBTP" if loudness.HasField("true_peak_dbtp") else ""
    yield "" if audio.decodable else "cannot be decoded"


def _image(image: probe_pb2.ImageReport) -> Iterator[str]:
    yield f"{image.width}x{image.height}"
    yield image.color_space
    yield f"{image.bit_depth} bit" if image.bit_depth else ""
    yield image.color_profile
    yield "transparent" if image.transparent else ""
    yield f"animated, {image.frames} frames" if image.animated else ""


def _captions(captions: probe_pb2.CaptionReport) -> Iterator[str]:
    yield f"{captions.cues} captions"
    yield f"{captions.left_out} left out" if captions.left_out else ""
    yield captions.encoding
    yield captions.language
    yield f"{captions.first_seconds:.3f} to {captions.last_seconds:.3f} s"


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _size(size_bytes: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size_bytes < KIBIBYTE:
            return f"{size_bytes:.4g} {unit}"
        size_bytes /= KIBIBYTE
    return f"{size_bytes:.4g} GiB"


def _seconds(media: probe_pb2.MediaReport) -> str:
    return f"{media.duration:.3f} s" if media.duration else ""


def _rate(told: probe_pb2.MediaReport | probe_pb2.AudioTrack) -> str:
    return f"{told.bit_rate / 1000:.4g} kbit/s" if told.bit_rate else ""
