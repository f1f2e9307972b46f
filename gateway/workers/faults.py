"""Faults that encoders report, in one table: who is at fault, and what becomes of the task.

Both transports read it, so that a task fares alike on RunPod's workers, on rented instances and on static encoders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.workers.base import EncoderBusy, EncoderCutOff, EncoderLost, Input, InputFailed, shown_name
from servicekit.errors import (
    Aborted,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    Internal,
    ServiceError,
    Unavailable,
)


class Blame(StrEnum):
    """Who is at fault."""

    GATEWAY = "gateway"
    WORKER = "worker"
    TASK = "task"


class Retry(StrEnum):
    """What becomes of the task."""

    # Another encoder than this one, as long as there is another.
    ELSEWHERE = "elsewhere"
    # Any encoder, this one too.
    ANYWHERE = "anywhere"
    # It fails: what is wrong does not change.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who is at fault, and what becomes of the task. An attempt that an encoder began counts, unless what ended it
    `passes`: the task had no part in it, and waits until it is over."""

    blame: Blame
    retry: Retry
    passes: bool = False


GATEWAY_FAULT = Verdict(Blame.GATEWAY, Retry.ANYWHERE)
WORKER_FAULT = Verdict(Blame.WORKER, Retry.ELSEWHERE)
TASK_FAULT = Verdict(Blame.TASK, Retry.NEVER)
# Of a line, a disk, or what ends for a while.
PASSING_GATEWAY_FAULT = Verdict(Blame.GATEWAY, Retry.ANYWHERE, passes=True)
PASSING_WORKER_FAULT = Verdict(Blame.WORKER, Retry.ELSEWHERE, passes=True)

FAULTS: dict[str, Verdict] = {
    # The encoder has no room, or ends.
    "NO_FREE_SLOT": PASSING_WORKER_FAULT,
    "DRAINING": PASSING_WORKER_FAULT,
    # Its machine fails.
    "CODEC_FAILED": WORKER_FAULT,
    "NVDEC_FAILED": WORKER_FAULT,
    "CODEC_MISSING": WORKER_FAULT,
    "SESSION_LIMIT": PASSING_WORKER_FAULT,
    "KILLED": WORKER_FAULT,
    "PLANNING_LOST": WORKER_FAULT,
    "DISK_FULL": PASSING_WORKER_FAULT,
    # Its line fails: another one may reach the gateway.
    "LINK_FAILED": PASSING_WORKER_FAULT,
    "CUT_OFF": PASSING_WORKER_FAULT,
    "DIGEST_MISSING": WORKER_FAULT,
    "DIGEST_MISMATCH": WORKER_FAULT,
    "SIZE_MISMATCH": WORKER_FAULT,
    # It is of another version, or does not know this gateway.
    "BAD_TASK": WORKER_FAULT,
    "UNKNOWN_PART": WORKER_FAULT,
    "BAD_LINK": WORKER_FAULT,
    "BAD_HEADER": WORKER_FAULT,
    "BAD_DIGEST": WORKER_FAULT,
    "ADDRESS": WORKER_FAULT,
    "CLIENT_CERTIFICATE": WORKER_FAULT,
    "SESSION_TOKEN": WORKER_FAULT,
    # What answers at PUBLIC_URL is not the gateway, or the gateway refuses for a moment.
    "LINK_REFUSED": PASSING_GATEWAY_FAULT,
    "BUSY": PASSING_GATEWAY_FAULT,
    "EVICTED": PASSING_GATEWAY_FAULT,
    "STORE_DOWN": PASSING_GATEWAY_FAULT,
    "STORAGE_UNAVAILABLE": PASSING_GATEWAY_FAULT,
    "ASSET_DAMAGED": GATEWAY_FAULT,
    # It takes the attempt for over, or for another one.
    "GONE": PASSING_GATEWAY_FAULT,
    "TASK_OVER": PASSING_GATEWAY_FAULT,
    "LINK_EXPIRED": PASSING_GATEWAY_FAULT,
    "LINK_FORGED": GATEWAY_FAULT,
    "RESULT_COMING": PASSING_GATEWAY_FAULT,
    "OTHER_RESULT": GATEWAY_FAULT,
    # Its store has no room: no task is taken meanwhile, as it would be paid for in vain.
    "STORAGE_FULL": PASSING_GATEWAY_FAULT,
    # The request or its inputs.
    "BAD_INPUT": TASK_FAULT,
    "WEB_PAGE": TASK_FAULT,
    "BAD_SUBTITLES": TASK_FAULT,
    "UNSUPPORTED_INPUT": TASK_FAULT,
    "INPUT_TOO_LARGE": TASK_FAULT,
    "INPUT_TOO_COMPLEX": TASK_FAULT,
    "ASSET_TOO_LARGE": TASK_FAULT,
    "RESULT_TOO_LARGE": TASK_FAULT,
    "PAST_END": TASK_FAULT,
    "SIZE_UNSUPPORTED": TASK_FAULT,
    "TOO_LONG": TASK_FAULT,
    "TOO_MUCH_MEMORY": TASK_FAULT,
    "TOO_MUCH_WORK": TASK_FAULT,
    "TASK_TIMEOUT": TASK_FAULT,
    "UNKNOWN_OPERATION": TASK_FAULT,
    # The parts of a film that other tasks made.
    "BAD_PART": TASK_FAULT,
    "PIECES_DIFFER": TASK_FAULT,
    # It is tried again with whole inputs, where it was not yet.
    "OUTLINE_TOO_SMALL": TASK_FAULT,
    # FFmpeg fails for an unknown reason, as a rule over its input.
    "FFMPEG_FAILED": TASK_FAULT,
}
"""Reason of a fault to its verdict."""

# Errors that no reason explains, and that are not of the request: another encoder may do.
UNEXPLAINED = (Unavailable, DataLoss, Aborted, Cancelled, Internal)


def verdict(error: ServiceError) -> Verdict:
    """Return the verdict on an error that an encoder reports."""
    if error.reason in FAULTS:
        return FAULTS[error.reason]
    return WORKER_FAULT if isinstance(error, UNEXPLAINED) else TASK_FAULT


def passes(error: ServiceError) -> bool:
    """Return True for what ended an attempt without a part of the task in it."""
    return isinstance(error, EncoderCutOff) or (error.reason in FAULTS and FAULTS[error.reason].passes)


def reported(
    error: ServiceError,
    encoder: str,
    inputs: Sequence[Input],
    *,
    is_accepted: bool = True,
    is_queue: bool = False,
) -> Exception:
    """Return what `base.Encoder.run` raises for an error that an encoder reports; `is_accepted`: after it took the
    task; `is_queue`: it is any worker behind a provider's queue, which the next attempt enters anew.

    That of a retried fault says so by its class alone: the error of an encoder must not pass for one of the gateway's
    own stores.
    """
    if isinstance(error, DeadlineExceeded | Unavailable) and _names_an_input(error, inputs):
        return InputFailed(error)
    found = verdict(error)
    if found.retry is Retry.NEVER:
        return _final(error)
    text = f"{encoder} cannot do the task: {error.message}"
    reason = "" if error.reason == error.default_reason else error.reason
    if not is_accepted:
        return EncoderBusy(text, reason=reason)
    is_unfit = found.retry is Retry.ELSEWHERE and not is_queue
    return EncoderLost(text, reason=reason, is_unfit=is_unfit, log=error.log)


def _names_an_input(error: ServiceError, inputs: Sequence[Input]) -> bool:
    return bool({shown_name(entry.field) for entry in inputs} & error.fields.keys())


def _final(error: ServiceError) -> ServiceError:
    """Return the error as one that is not tried again, whatever class it came as."""
    if isinstance(error, UNEXPLAINED) and not isinstance(error, Internal):
        return Internal(error.message, reason=error.reason, fields=error.fields, log=error.log)
    return error
