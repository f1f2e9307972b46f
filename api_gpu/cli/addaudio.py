"""The command `addaudio`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api_gpu.cli.output import ContainerOption, CostOption, OutOption, one_video
from api_gpu.options import Soundtrack

if TYPE_CHECKING:
    from api_gpu.client import Client
    from api_gpu.job import Job

VideoArgument = Annotated[str, typer.Argument(metavar="VIDEO", help="The video.")]
AudioArgument = Annotated[str, typer.Argument(metavar="AUDIO", help="An audio file, or a video whose sound is taken.")]
MAX_SECONDS = 1_000_000


def sound(text: str, *names: str, **more: Any) -> Any:
    """An option of the panel Sound."""
    return typer.Option(*names, help=text, rich_help_panel="Sound", **more)


def addaudio(
    context: typer.Context,
    video: VideoArgument,
    audio: AudioArgument,
    out: OutOption = None,
    container: ContainerOption = None,
    max_cost_usd: CostOption = None,
    mix: Annotated[bool, sound("Keep the video's own sound, and mix the two.", "--mix")] = False,
    original_gain: Annotated[
        float | None, sound("dB, of the video's own sound; with --mix.", show_default="0", min=-60, max=20)
    ] = None,
    gain: Annotated[float | None, sound("dB, of the soundtrack.", show_default="0", min=-60, max=20)] = None,
    duck: Annotated[bool, sound("Give way to speech in the video; with --mix.", "--duck")] = False,
    fade_in: Annotated[float | None, sound("Seconds, at the start of the result.", min=0, max=600)] = None,
    fade_out: Annotated[float | None, sound("Seconds, at its end.", min=0, max=600)] = None,
    loop: Annotated[bool, sound("Begin the soundtrack anew until the video ends.", "--loop")] = False,
    start: Annotated[float | None, sound("Seconds of AUDIO to leave out.", min=0, max=MAX_SECONDS)] = None,
    delay: Annotated[float | None, sound("Seconds before the soundtrack begins.", min=0, max=MAX_SECONDS)] = None,
    loudness: Annotated[float | None, sound("LUFS of the result: -14 or -16.", min=-40, max=-5)] = None,
) -> None:
    """Put a soundtrack on a video.

    VIDEO and AUDIO are files, URLs or names of assets.
    The result is as long as the shorter of the two, with --mix or --loop as long as the video.
    """
    soundtrack = Soundtrack(
        mix=mix,
        original_gain=original_gain,
        gain=gain,
        duck=duck,
        fade_in=fade_in,
        fade_out=fade_out,
        loop=loop,
        start=start,
        delay=delay,
        loudness=loudness,
    )
    given = None if soundtrack == Soundtrack() else soundtrack

    def submit(client: Client, video: str, audio: str) -> Job:
        return client.addaudio(video, audio, soundtrack=given, container=container, max_cost_usd=max_cost_usd)

    one_video(context.obj, "addaudio", [video, audio], out, submit)
