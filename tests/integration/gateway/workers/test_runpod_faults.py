"""Each row of the table of faults through the loop of RunPod's own SDK: what the attempt comes to, and that the next
one is another run."""

import json
import secrets

import pytest
import pytest_asyncio

from encoder.ffmpeg import errors as ffmpeg_errors
from gateway.workers.base import EncoderLost
from gateway.workers.faults import FAULTS, Retry
from servicekit.errors import Aborted, ServiceError, Unavailable
from tests.emulators import sdkchild
from tests.support.seen import Seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Codes as encoders and the gateway's links give them; UNAVAILABLE, the one that was mistaken, for all others.
CODES = {
    "NO_FREE_SLOT": "RESOURCE_EXHAUSTED",
    "DISK_FULL": "RESOURCE_EXHAUSTED",
    "BUSY": "RESOURCE_EXHAUSTED",
    "STORAGE_FULL": "RESOURCE_EXHAUSTED",
    "INPUT_TOO_LARGE": "RESOURCE_EXHAUSTED",
    "ASSET_TOO_LARGE": "RESOURCE_EXHAUSTED",
    "CUT_OFF": "DATA_LOSS",
    "DIGEST_MISSING": "DATA_LOSS",
    "DIGEST_MISMATCH": "DATA_LOSS",
    "SIZE_MISMATCH": "DATA_LOSS",
    "BAD_TASK": "INVALID_ARGUMENT",
    "BAD_LINK": "INVALID_ARGUMENT",
    "ADDRESS": "PERMISSION_DENIED",
    "LINK_EXPIRED": "PERMISSION_DENIED",
    "LINK_FORGED": "PERMISSION_DENIED",
    "SESSION_TOKEN": "UNAUTHENTICATED",
    "GONE": "CANCELLED",
    "OTHER_RESULT": "ALREADY_EXISTS",
    "BAD_SUBTITLES": "INVALID_ARGUMENT",
    "PAST_END": "INVALID_ARGUMENT",
    "TOO_LONG": "FAILED_PRECONDITION",
    "FFMPEG_FAILED": "INTERNAL",
} | {reason: kind.code.name for kind, reason, _ in (*ffmpeg_errors.TABLE.values(), *ffmpeg_errors.SIGNALS.values())}
ROWS = [(CODES.get(reason, "UNAVAILABLE"), reason) for reason in FAULTS] + [("ABORTED", ""), ("UNAVAILABLE", "")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def faults(parts, tmp_path_factory):
    """A worker's file of faults: what stands in it the next jobs fail with."""
    folder = tmp_path_factory.mktemp("faulty")
    (file := folder / "faults").touch()
    environ = sdkchild.environment(folder, **parts.runpod.worker_environment("w1"))
    command = [str(sdkchild.HERE / "runpodfaulty.py"), str(file)]
    with sdkchild.child("runpod", command, environ, folder / "log"):
        yield file


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1] or row[0])
async def test_the_next_attempt_is_another_run(parts, one_encoder, faults, row):
    _, reason = row
    faults.write_text(json.dumps(row))
    job, before = await parts.job(key=f"{secrets.token_hex(16)}.0"), parts.runpod.requests["run"]
    with pytest.raises(ServiceError) as raised:
        await one_encoder.run(job, Seen())
    assert (raised.value.reason, "it failed" in raised.value.message) == (reason or EncoderLost.default_reason, True)
    is_final = reason in FAULTS and FAULTS[reason].retry is Retry.NEVER
    assert isinstance(raised.value, EncoderLost) != is_final
    assert not is_final or not isinstance(raised.value, Unavailable | Aborted)
    # Nothing is left that the next attempt would take for its own.
    assert not await one_encoder.can_resume(job.id)
    outcome = await one_encoder.run(job, Seen())
    assert (await parts.content(outcome.asset_id), parts.runpod.requests["run"] - before) == (b"input", 2)
