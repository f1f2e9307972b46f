"""What the encoder takes of a process that plans, which may be under a caller's command: data that leads it nowhere."""

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import ffmpeg
import pytest

from apigpu.v1 import story_pb2
from apigpu.v1.motion_pb2 import Motion
from encoder.codecs.base import X264
from encoder.codecs.nvenc.codec import Nvenc, SessionFrames
from encoder.codecs.nvenc.request import Parameters
from encoder.codecs.nvenc.worker_client import WorkerClient
from encoder.ffmpeg.command import SQUARE, FfmpegRun, FilteredFrames, OutputSpec, RawFrames
from encoder.ffmpeg.errors import IMAGE_DAMAGE
from encoder.ffmpeg.process import PipedFrames
from encoder.kenburns.reels import Meeting, StillReel
from encoder.kenburns.sampling import StillFrames, StillLevel
from encoder.media.files import open_regular
from encoder.media.info import HD, Size
from encoder.planning import protocol
from encoder.planning.protocol import MeetingData, PlannerReply, PlannerRequest, RunData
from encoder.planning.runs import BadReply, check_name, from_data, to_data
from encoder.story.blends import StillBlend
from servicekit.codec import from_json, to_json

FOLDER = Path("/work/task-1")
OUTPUT = OutputSpec((), {"f": "mp4"}, "result", {}, 2)
STILLS = StillFrames(
    (StillLevel(FOLDER / "still0.yuv", Size(64, 36), 2),), Size(64, 36), Motion(start_zoom=1, end_zoom=2), 5, "url"
)
PICTURES = RawFrames(STILLS, STILLS.clip, Fraction(24), 5)


def nvenc(*, waits: bool = True) -> Nvenc:
    return Nvenc(WorkerClient(Parameters(cq=30)), waits=waits, decodes=False)


def sent(data: RunData) -> RunData:
    """The run as it comes out at the other end."""
    return from_json(RunData, to_json(data))


def test_a_plain_run_comes_through_whole() -> None:
    run = FfmpegRun(("-i", "a", "b"), ("url", ""), IMAGE_DAMAGE)
    assert from_data(sent(to_data(run)), X264("fast", 23), FOLDER) == run


def test_frames_come_through_whole() -> None:
    run = X264("fast", 23).make_run(PICTURES, OUTPUT)
    assert run.stdin == PipedFrames(STILLS)
    assert from_data(sent(to_data(run)), X264("fast", 23), FOLDER) == run


def test_frames_that_are_filtered_come_through_whole() -> None:
    other = replace(STILLS, count=2, first=1, whole=9)
    picture = ffmpeg.input("pipe:0", f="rawvideo")
    slide = story_pb2.Transition(kind=story_pb2.TRANSITION_KIND_SLIDE, seconds=0.5)
    for generate in (STILLS, StillReel((STILLS, other), (Meeting(2, StillBlend(slide, STILLS.clip)),))):
        frames = FilteredFrames(
            picture, (), STILLS.clip, HD, SQUARE, Fraction(24), stdin=PipedFrames(generate), constant=True
        )
        run = X264("fast", 23).make_run(frames, OUTPUT)
        assert run.stdin == PipedFrames(generate)
        assert from_data(sent(to_data(run)), X264("fast", 23), FOLDER) == run
        made = from_data(sent(to_data(nvenc().make_run(frames, OUTPUT))), nvenc(), FOLDER)
        assert isinstance(made.stdin, SessionFrames)
        assert isinstance(made.stdin.source, FfmpegRun)
        assert made.stdin.source.stdin == PipedFrames(generate)


def test_stills_that_cannot_lead_into_each_other_are_refused() -> None:
    run = X264("fast", 23).make_run(PICTURES, OUTPUT)
    frames = to_data(run).frames
    assert frames is not None

    def read(*following: MeetingData) -> FfmpegRun:
        data = RunData((), (), is_image=False, frames=replace(frames, following=following))
        return from_data(data, X264("fast", 23), FOLDER)

    met = MeetingData(3, b"", frames)
    read(met)
    read(replace(met, frames=2), met)
    for still in (replace(frames, width=32), replace(frames, following=(met,)), replace(frames, first=3, whole=5)):
        with pytest.raises(BadReply):
            read(replace(met, still=still))
    for wrong in (
        [replace(met, transition=b"\xff")],
        [replace(met, frames=-1)],
        [replace(met, frames=6)],
        [met, met],
        [replace(met, frames=1)] * 99,
    ):
        with pytest.raises(BadReply):
            read(*wrong)


def test_a_session_is_the_codecs_own_whatever_the_data_says() -> None:
    run = nvenc().make_run(PICTURES, OUTPUT)
    mine = nvenc(waits=False)
    come = from_data(sent(to_data(run)), mine, FOLDER)
    assert isinstance(come.stdin, SessionFrames)
    assert come.stdin.codec is mine
    assert come.stdin.source == STILLS
    assert come.stdin.request.wait is False


def test_a_session_has_the_parameters_that_a_plan_gives_it_where_they_can_be() -> None:
    data = to_data(nvenc().make_run(PICTURES, OUTPUT))
    assert data.request is not None
    others = Parameters("hevc", "P7", 30, 0, 8)
    come = from_data(sent(replace(data, request=replace(data.request, parameters=others))), nvenc(), FOLDER)
    assert isinstance(come.stdin, SessionFrames)
    assert come.stdin.request.parameters == others
    for wrong in (Parameters("h263"), Parameters(preset="p4"), Parameters(cq=0), Parameters(b_frames=9)):
        with pytest.raises(BadReply):
            from_data(replace(data, request=replace(data.request, parameters=wrong)), nvenc(), FOLDER)
    for told in ({"sets_number": 31}, {"sets_number": -1}, {"max_level": "7"}, {"max_level": "4\n"}, {"max_tier": 2}):
        with pytest.raises(BadReply):
            from_data(replace(data, request=replace(data.request, **told)), nvenc(), FOLDER)


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "../a", "/etc/passwd", "a\0", "a\n", "x" * 65])
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    with pytest.raises(BadReply):
        check_name(name)
    frames = to_data(X264("fast", 23).make_run(PICTURES, OUTPUT)).frames
    assert frames is not None
    data = RunData((), (), is_image=False, frames=replace(frames, levels=((name, 64, 36, 2),)))
    with pytest.raises(BadReply):
        from_data(data, X264("fast", 23), FOLDER)


@pytest.mark.parametrize("change", [
    {"width": 63},
    {"width": 0},
    {"width": 100_000, "height": 100_000},
    {"levels": ()},
    {"levels": (("still0.yuv", 30_000, 30_000, 1),)},
    {"levels": (("still0.yuv", 8000, 8000, 64),)},
    {"levels": (("still0.yuv", -2, 36, 1),)},
    {"levels": (("still0.yuv", 64, 36, 0),)},
    {"motion": b"\xff"},
    {"motion": Motion(start_zoom=1, end_zoom=1, pan=cast("Any", 99)).SerializeToString()},
    {"motion": Motion(start_zoom=1, end_zoom=1, easing=cast("Any", 99)).SerializeToString()},
    {"motion": Motion(start_zoom=0, end_zoom=1).SerializeToString()},
    {"motion": Motion(start_zoom=float("nan"), end_zoom=1).SerializeToString()},
    {"motion": Motion(start_zoom=1, end_zoom=float("inf")).SerializeToString()},
])  # fmt: skip
def test_frames_that_cannot_be_are_refused(change: dict[str, object]) -> None:
    data = to_data(X264("fast", 23).make_run(PICTURES, OUTPUT))
    assert data.frames is not None
    with pytest.raises(BadReply):
        from_data(replace(data, frames=replace(data.frames, **change)), X264("fast", 23), FOLDER)


def test_a_session_without_its_codec_or_its_frames_is_refused() -> None:
    data = to_data(nvenc().make_run(PICTURES, OUTPUT))
    assert data.request is not None
    assert data.request.raw is not None
    with pytest.raises(BadReply):
        from_data(data, X264("fast", 23), FOLDER)
    larger = replace(data.request, raw=replace(data.request.raw, width=128))
    for wrong in (replace(data, frames=None), replace(data, request=larger)):
        with pytest.raises(BadReply):
            from_data(wrong, nvenc(), FOLDER)


def test_an_argument_holds_no_zero_byte() -> None:
    with pytest.raises(BadReply):
        from_data(RunData(("a\0b",), (), is_image=False), X264("fast", 23), FOLDER)


def test_a_message_has_a_bounded_length() -> None:
    assert protocol.check_length(protocol.pack(PlannerRequest(run=1))[:4]) > 0
    with pytest.raises(ValueError, match="too long"):
        protocol.check_length(b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"run": 5}', b'{"plan": {}}', b'{"reading": 1}', b'{"status": "\xff"}']
)
def test_a_reply_is_held_against_its_type(data: bytes) -> None:
    with pytest.raises(ValueError):
        from_json(PlannerReply, data)


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"abc")
    with open_regular(tmp_path / "plain") as file:
        assert file.read() == b"abc"
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "/dev/zero"):
        with pytest.raises(OSError):
            open_regular(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "none")
