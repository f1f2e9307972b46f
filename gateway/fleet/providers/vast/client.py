"""Vast.ai's API over HTTP: the calls that the fleet needs, each in its time, tried again only where that is safe.

Source: docs.vast.ai/api-reference, and the SDK `vastai`.
"""

import json
import random
import re
from collections.abc import Mapping
from typing import Any

import httpx

from gateway.fleet.providers.base import LaunchUnknown, OfferGone
from gateway.ratelimit import MinInterval
from servicekit.errors import FailedPrecondition, ResourceExhausted, ServiceError, Unauthenticated, Unavailable

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


# Seconds between two calls of a kind, a little above what the API asks for.
INTERVALS = {"search": 2.2, "create": 4.8, "list": 2.2, "destroy": 3.2}
# Longer than any of these few turns takes; who comes later is better told so.
PATIENCE_SECONDS = 30.0
QUOTA_SECONDS = 600.0
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
PAGE = 25
MOST_PAGES = 100
# The request never left: nothing was done.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

Row = dict[str, Any]


class VastClient:
    """Speaks for one account. Raises Unauthenticated, FailedPrecondition and Unavailable, as base.Provider says."""

    def __init__(
        self,
        url: str,
        api_key: str,
        intervals: Mapping[str, float] = INTERVALS,
        backoff_seconds: float = BACKOFF_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._attempts = attempts
        self._pace = MinInterval(intervals, patience_seconds)
        self._backoff_seconds = backoff_seconds
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT)

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def search(self, query: Row) -> list[Row]:
        """The offers that a query finds."""
        try:
            body = await self._repeated("search", "POST", "/api/v0/bundles/", json=query)
        except Unavailable as error:
            if error.reason == "QUOTA":
                self._pace.rest("search", QUOTA_SECONDS)
            raise
        return list(body.get("offers") or [])

    async def instances(self) -> list[Row]:
        """All instances of the account, whoever made them. Raises Unavailable for anything but the whole list: who is
        not in it counts as gone."""
        parameters = {"select_filters": "{}", "order_by": json.dumps([{"col": "id", "dir": "asc"}]), "limit": str(PAGE)}
        found: list[Row] = []
        for _ in range(MOST_PAGES):
            body = await self._repeated("list", "GET", "/api/v1/instances/", params=parameters)
            if not isinstance(body.get("instances"), list):
                raise Unavailable("Vast.ai's answer has no list of instances.", reason="VAST")
            found += body["instances"]
            if not body.get("next_token"):
                return found
            parameters["after_token"] = str(body["next_token"])
        raise Unavailable("Vast.ai's list of instances has no end.", reason="VAST")

    async def create(self, offer: str, order: Row) -> str:
        """Take an offer; the number of the instance. Asked once. Raises OfferGone (nothing was made), Unclear (it may
        have been made), and as above, when nothing was made."""
        await self._pace.turn("create")
        try:
            body = await self._once("PUT", f"/api/v0/asks/{offer}/", json=order)
        except NotThere as error:
            raise OfferGone(error.message, reason=error.reason) from error
        except TooSoon as error:
            self._pace.rest("create", error.seconds or self._backoff_seconds)
            raise Unavailable(error.message, reason=error.reason) from error
        number = body.get("new_contract")
        if not number:
            raise LaunchUnknown("Vast.ai did not tell the number of the instance.", reason="UNCLEAR")
        return str(number)

    async def destroy(self, number: str) -> None:
        """End an instance; one that is gone already is no fault."""
        try:
            await self._repeated("destroy", "DELETE", f"/api/v0/instances/{number}/", json={})
        except NotThere:
            return

    async def _repeated(self, kind: str, method: str, path: str, **options: Any) -> Row:
        """A call that may be made more than once."""
        for attempt in range(self._attempts):
            await self._pace.turn(kind)
            try:
                return await self._once(method, path, **options)
            except (TooSoon, Unavailable) as error:
                if attempt == self._attempts - 1 or error.reason == "QUOTA":
                    raise _unavailable(error) from error
                told = error.seconds if isinstance(error, TooSoon) else None
                backoff = self._backoff_seconds * 2**attempt * random.uniform(0.5, 1.5)
                self._pace.rest(kind, max(told or 0.0, backoff))
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, **options: Any) -> Row:
        """One call and its answer. Raises Unavailable when it never left, Unclear when its answer is lost."""
        try:
            response = await self._http.request(method, path, **options)
            body = response.json() if response.status_code == 200 else None
        except UNSENT as error:
            raise Unavailable(f"Vast.ai cannot be reached: {error}", reason="VAST") from error
        except (httpx.HTTPError, ValueError) as error:
            raise LaunchUnknown(
                f"Vast.ai's answer was lost: {error or type(error).__name__}", reason="UNCLEAR"
            ) from error
        if isinstance(body, dict) and body.get("success", True):
            return body
        refused = refusal(response)
        # What is behind a proxy may have done its work all the same.
        if response.status_code >= 500 or (response.status_code == 200 and not isinstance(body, dict)):
            raise LaunchUnknown(refused.message, reason="UNCLEAR")
        raise refused


def _unavailable(error: ServiceError) -> Unavailable:
    """For calls that make nothing it is all the same whether the request or its answer was lost."""
    return Unavailable(error.message, reason=error.reason)
