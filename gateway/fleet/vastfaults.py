"""What Vast.ai's answers mean: the same for all calls, and in words that say what to do."""

import re

import httpx

from rpc.errors import FailedPrecondition, ResourceExhausted, ServiceError, Unauthenticated, Unavailable

TOLD_CHARACTERS = 200
# The reason of a refusal that lies neither in the account nor in the image: in what was asked for, therefore.
REFUSED = "REFUSED"
THRESHOLD = re.compile(r"threshold=([0-9.]+)")


class TooSoon(ResourceExhausted):
    """A call came too early, and did nothing; `seconds` is how long to wait, as far as it was told."""

    def __init__(self, message: str, seconds: float | None) -> None:
        super().__init__(message, reason="TOO_SOON")
        self.seconds = seconds


class NotThere(FailedPrecondition):
    """What was named is not there, or not any more."""


# Words of the API to what they mean here; what is not named is a refusal of which nothing is known.
MEANINGS: dict[str, tuple[type[ServiceError], str, str]] = {
    "insufficient_credit": (FailedPrecondition, "NO_CREDIT", "the account has no credit; add some at Vast.ai"),
    "search_quota_exceeded": (Unavailable, "QUOTA", "the searches of the day are used up; they begin anew at 0:00 UTC"),
    "no_such_ask": (NotThere, "GONE", "the offer was taken by somebody else"),
    "no_such_instance": (NotThere, "GONE", "there is no such instance"),
}


def refusal(response: httpx.Response) -> ServiceError:
    """The error behind an answer that is none of success. Headers and requests are left out of it, as both hold
    secrets."""
    error, text = _told(response)
    if error in MEANINGS:
        kind, reason, meaning = MEANINGS[error]
        return kind(f"Vast.ai: {meaning}.", reason=reason)
    if response.status_code == 401:
        return Unauthenticated("Vast.ai does not know the key in VAST_API_KEY; make a new one.", reason="VAST_API_KEY")
    if response.status_code == 403:
        hint = "it needs misc, instance_read and instance_write"
        return Unauthenticated(f"The key in VAST_API_KEY may not do this: {hint} ({text}).", reason="VAST_API_KEY")
    if response.status_code == 429:
        return TooSoon(f"Vast.ai asks for patience: {text}", _patience(response, text))
    if response.status_code in (404, 410):
        return NotThere(f"Vast.ai: {text}", reason="GONE")
    if response.status_code >= 500:
        return Unavailable(f"Vast.ai does not work at present ({response.status_code}).", reason="VAST")
    if "image" in text.lower():
        return FailedPrecondition(f"Vast.ai refuses the image in VAST_WORKER_IMAGE: {text}", reason="IMAGE")
    return FailedPrecondition(f"Vast.ai refuses: {text}", reason=REFUSED)


def _told(response: httpx.Response) -> tuple[str, str]:
    """The API's word for the error, "" where it gives none, and its text."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return "", f"{response.status_code} {response.text[:TOLD_CHARACTERS]}".strip()
    text = str(body.get("msg") or body.get("message") or body.get("error") or response.status_code)
    return str(body.get("error", "")), text[:TOLD_CHARACTERS]


def _patience(response: httpx.Response, text: str) -> float | None:
    told = response.headers.get("Retry-After", "")
    found = THRESHOLD.search(text)
    try:
        return float(told or (found.group(1) if found else ""))
    except ValueError:
        return None
