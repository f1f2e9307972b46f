"""Errors that HTTP APIs of others answer: their text (RFC 9457, or plain), and APIs that were retired as a whole."""

import json
from typing import Any

from servicekit.errors import FailedPrecondition

MAX_CHARACTERS = 500
API_RETIRED = "API_RETIRED"


def problem_text(body: str) -> str:
    """Return what the body of an error says: `detail` (else `title`) of an RFC 9457 problem with its `errors`, the
    message of another JSON object, or the text itself; at most MAX_CHARACTERS of it."""
    problem = _json_object(body)
    if problem is None:
        return " ".join(body.split())[:MAX_CHARACTERS]
    said = next(
        (str(problem[name]) for name in ("detail", "title", "message", "msg", "error") if problem.get(name)), ""
    )
    errors = problem.get("errors")
    listed = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
    return " ".join(filter(None, (said or body, listed)))[:MAX_CHARACTERS]


def retired(api: str, setting: str, status: int, body: str) -> FailedPrecondition:
    """Return the error of an API that is not there any more; `setting` is the one that leads to it."""
    said = problem_text(body)
    text = f"{api} is not there any more (HTTP status {status}): this version of it was retired, or {setting} is wrong."
    todo = f"Take {setting} out of the settings if it is set there, and update api-gpu."
    return FailedPrecondition(f"{text} {todo}" + (f" It said: {said}" if said else ""), reason=API_RETIRED)


def _json_object(body: str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
