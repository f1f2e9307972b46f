"""What the encoder does with replies of a process that plans which cannot be: the input is blamed, not the encoder."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apigpu.encoder.v1 import encoder_pb2
from encoder.codecs.base import X264
from encoder.media.info import Source
from encoder.planning.planner import USUAL_LIMITS, Planner
from encoder.planning.protocol import FileData, FramesData, MeetingData, PlanData, PlannerReply, RunData, pack
from encoder.sandbox.sandboxes import ProcessLimits
from servicekit.errors import InvalidArgument

STILL = FramesData((("still0.yuv", 64, 36, 1),), 64, 36, b"", 5, "url")
REELS = {
    "no transition": MeetingData(1, b"\xff", STILL),
    "no motion": MeetingData(1, b"", FramesData(STILL.levels, 64, 36, b"\xff", 5, "url")),
    "frames that are not there": MeetingData(9, b"", STILL),
}


def plan_of(**changed: Any) -> PlanData:
    usual: dict[str, Any] = {
        "runs": (),
        "field": "url",
        "codec": "x264",
        "duration_seconds": 1.0,
        "frames_total": 24,
        "warnings": (),
        "streamable": False,
        "content_type": "video/mp4",
        "files": (),
        "font_tiers": 0,
    }
    return PlanData(**{**usual, **changed})


def reel(met: MeetingData) -> RunData:
    first = FramesData(STILL.levels, 64, 36, b"\x0d\x00\x00\x80?\x15\x00\x00\x80?", 5, "url", following=(met,))
    return RunData((), (), is_image=False, frames=first)


REPLIES = {
    "no answer": pack(PlannerReply()),
    "no JSON": (1).to_bytes(4, "big") + b"{",
    "a message that is too long": b"\xff" * 4,
    "a file elsewhere": pack(PlannerReply(plan=plan_of(files=(FileData("../a", "text/plain"),)))),
    "a warning that is none": pack(PlannerReply(plan=plan_of(warnings=(b"\xff",)))),
    **{
        f"ranges that {name}": pack(PlannerReply(plan=plan_of(wanted=((field, ranges),))))
        for name, field, ranges in (
            ("are of no input", "other", ((0, 1),)),
            ("go back", "url", ((2, 3), (0, 1))),
            ("are empty", "url", ((1, 1),)),
            ("end behind the file", "url", ((0, 9),)),
        )
    },
    **{name: pack(PlannerReply(plan=plan_of(runs=(reel(met),)))) for name, met in REELS.items()},
}


@pytest.mark.parametrize("name", REPLIES)
async def test_the_input_that_was_read_is_blamed(name: str, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(pack(PlannerReply(reading="url")) + REPLIES[name])
        (tmp_path / "input0").write_bytes(b"12345678")
        process, limits = cast("Any", SimpleNamespace(channel=ours)), ProcessLimits(1, 1, 1)
        planner = Planner(process, cast("Any", None), USUAL_LIMITS, limits, tmp_path, tmp_path / "result")
        sources = {"url": Source("url", tmp_path / "input0")}
        with pytest.raises(InvalidArgument, match="url: what reads it told of it what cannot be") as blamed:
            await planner.plan(encoder_pb2.Task(), sources, X264("fast", 23), 1, asks=1)
    assert blamed.value.reason == "BAD_INPUT"
