"""What an encoder says of how a result plays is held to bounds, by itself and by the gateway: it becomes playlists."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apigpu.encoder.v1.encoder_pb2 import Playback, Summary
from encoder.planning.planner import USUAL_LIMITS, Planner
from encoder.planning.protocol import PlannerReply, pack
from encoder.sandbox.sandboxes import ProcessLimits
from gateway.jobs.results import stored_result
from servicekit.errors import DataLoss, InvalidArgument
from servicekit.playback import MAX_BYTES, playback_fault

SIZE = 1000
GOOD: dict[str, Any] = {
    "header_bytes": 100,
    "segment_bytes": [400, 500],
    "segment_milliseconds": [6000, 6000],
    "codec": "avc1.640028,mp4a.40.2",
}
FAULTS: dict[str, dict[str, Any]] = {
    "a line of its own": {"codec": 'avc1"\n#EXT-X-KEY:METHOD=AES-128,URI="https://example.com'},
    "a line at the end": {"codec": "avc1\n"},
    "a long name": {"codec": "a" * 33},
    "no segment": {"segment_bytes": [], "segment_milliseconds": []},
    "a length that is not there": {"segment_milliseconds": [6000]},
    "an empty segment": {"segment_bytes": [400, 0]},
    "a segment without a length": {"segment_milliseconds": [6000, 0]},
    "no header": {"header_bytes": 0},
    "more than the file": {"segment_bytes": [400, 501]},
    "more than can be": {"segment_bytes": [1] * MAX_BYTES, "segment_milliseconds": [1] * MAX_BYTES},
}


async def told_by(reply: Summary, folder: Path) -> Summary:
    """What the encoder takes of a process that plans and answers so."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(pack(PlannerReply(summary=reply.SerializeToString())))
        result = folder / "result"
        result.write_bytes(b"0" * SIZE)
        process = cast("Any", SimpleNamespace(channel=ours))
        limits = ProcessLimits(cpu_seconds=1, memory_bytes=1, file_bytes=1)
        return await Planner(process, cast("Any", None), USUAL_LIMITS, limits, folder, result).check()


async def test_what_is_as_it_should_be_comes_through(tmp_path: Path) -> None:
    for codec in (GOOD["codec"], "avc1.640028", ""):
        summary = Summary(size_bytes=SIZE, playback=Playback(**{**GOOD, "codec": codec}))
        assert (await told_by(summary, tmp_path)).playback == summary.playback
        assert stored_result(summary, "a", ()).playback == summary.playback.SerializeToString()
    assert stored_result(Summary(size_bytes=SIZE), "a", ()).playback == b""


@pytest.mark.parametrize("name", FAULTS)
async def test_a_faulty_one_is_taken_by_neither(name: str, tmp_path: Path) -> None:
    told = Playback(**{**GOOD, **FAULTS[name]})
    assert playback_fault(told, SIZE)
    summary = Summary(size_bytes=SIZE, playback=told)
    with pytest.raises(DataLoss) as refused:
        stored_result(summary, "a", ())
    assert refused.value.reason == "BAD_PLAYBACK"
    if name != "more than can be":  # a message of this size is sent by no one who does not read meanwhile
        with pytest.raises(InvalidArgument) as blamed:
            await told_by(summary, tmp_path)
        assert blamed.value.reason == "BAD_INPUT"
