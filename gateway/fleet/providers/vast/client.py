"""Vast.ai's HTTP API: the calls that the fleet needs, under its rate limits, retried only where that is safe.

Source: docs.vast.ai/api-reference, and the SDK `vastai`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from gateway.fleet.providers import answers
from gateway.fleet.providers.base import LaunchUnknown, OfferGone
from gateway.ratelimit import CallRateLimit, retry_after_seconds
from servicekit.backoff import Backoff
from servicekit.errors import FailedPrecondition, ServiceError, Unauthenticated, Unavailable
from servicekit.problems import retired

MAX_TEXT = 200
# The reason of a refusal for neither the account nor the image: the order itself is at fault.
REFUSED = "REFUSED"
THRESHOLD = re.compile(r"threshold=([0-9.]+)")


class TooSoon(Unavailable):
    """The call came too early, and did nothing; `seconds` is how long to wait, 0 if the API does not say."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, reason="TOO_SOON")
        self.seconds = seconds


class NotThere(FailedPrecondition):
    """There is no such offer or instance, or not any more."""


# Error codes of the API: class, reason and text of our error. Any other code is a refusal of unknown cause.
MEANINGS: dict[str, tuple[type[ServiceError], str, str]] = {
    "insufficient_credit": (FailedPrecondition, "NO_CREDIT", "the account has no credit; add some at Vast.ai"),
    "search_quota_exceeded": (Unavailable, "QUOTA", "the daily search quota is used up; it resets at 0:00 UTC"),
    "no_such_ask": (NotThere, "GONE", "the offer was taken by somebody else"),
    "no_such_instance": (NotThere, "GONE", "there is no such instance"),
}


def refusal(response: httpx.Response, *, is_collection: bool = False) -> ServiceError:
    """Return the error for a response that is no success, without headers and requests: both hold secrets.

    `is_collection`: the call was for what is always there, so that 404 means that the API is not.
    """
    error, text = _error_of(response)
    if error in MEANINGS:
        kind, reason, meaning = MEANINGS[error]
        return kind(f"Vast.ai: {meaning}.", reason=reason)
    if response.status_code == 401:
        return Unauthenticated(
            "Vast.ai does not accept the key in VAST_API_KEY; make a new one.", reason="VAST_API_KEY"
        )
    if response.status_code == 403:
        hint = "it needs misc, instance_read and instance_write"
        return Unauthenticated(f"The key in VAST_API_KEY may not do this: {hint} ({text}).", reason="VAST_API_KEY")
    if response.status_code == 429:
        threshold = THRESHOLD.search(text)
        asked = response.headers.get("Retry-After") or (threshold.group(1) if threshold else "")
        return TooSoon(f"Vast.ai's rate limit was hit: {text}", retry_after_seconds(asked, 0.0))
    if response.status_code in (404, 410) and is_collection:
        return retired("Vast.ai's API", "VAST_URL", response.status_code, response.text)
    if response.status_code in (404, 410):
        return NotThere(f"Vast.ai: {text}", reason="GONE")
    if response.status_code >= 500:
        return Unavailable(f"Vast.ai failed (HTTP status {response.status_code}).", reason="VAST")
    if "image" in text.lower():
        return FailedPrecondition(f"Vast.ai refuses the image in VAST_WORKER_IMAGE: {text}", reason="IMAGE")
    return FailedPrecondition(f"Vast.ai refuses: {text}", reason=REFUSED)


def _error_of(response: httpx.Response) -> tuple[str, str]:
    """Return the API's code for the error, "" if it gives none, and its text."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return "", f"{response.status_code} {response.text[:MAX_TEXT]}".strip()
    text = str(body.get("msg") or body.get("message") or body.get("error") or response.status_code)
    return str(body.get("error", "")), text[:MAX_TEXT]


# Seconds between two calls of a kind, a little above what the API asks for.
INTERVALS = {"search": 2.2, "create": 4.8, "list": 2.2, "destroy": 3.2}
# Longer than any of these few turns takes; who comes later is better told so.
MAX_WAIT_SECONDS = 30.0
QUOTA_SECONDS = 600.0
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
ATTEMPTS = 4
BACKOFF = Backoff(0.5, 60.0)
SEARCH, INSTANCES = COLLECTIONS = "/api/v0/bundles/", "/api/v1/instances/"
PAGE_ROWS = 25
MAX_PAGES = 100
# The request never left: nothing was done.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

Row = dict[str, Any]


class VastClient:
    """Make the API calls of one account. Raises the errors of base.Provider."""

    def __init__(
        self,
        url: str,
        api_key: str,
        intervals: Mapping[str, float] = INTERVALS,
        backoff: Backoff = BACKOFF,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._attempts = attempts
        self._limits = {kind: CallRateLimit(1, intervals.get(kind, 0.0), max_wait_seconds) for kind in INTERVALS}
        self._backoff = backoff
        headers = {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT)

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def search(self, query: Row) -> list[Row]:
        """Return the offers that a query finds."""
        body = await self._repeated("search", "POST", SEARCH, json=query)
        return list(body.get("offers") or [])

    async def instances(self) -> list[Row]:
        """Return all instances of the account, whoever created them.

        Raises Unavailable for anything but the complete list: an instance that is not in it counts as gone.
        """
        parameters = {
            "select_filters": "{}",
            "order_by": json.dumps([{"col": "id", "dir": "asc"}]),
            "limit": str(PAGE_ROWS),
        }
        found: list[Row] = []
        for _ in range(MAX_PAGES):
            body = await self._repeated("list", "GET", INSTANCES, params=parameters)
            if not isinstance(body.get("instances"), list):
                raise Unavailable("Vast.ai's answer has no list of instances.", reason="VAST")
            found += body["instances"]
            if not body.get("next_token"):
                return found
            parameters["after_token"] = str(body["next_token"])
        raise Unavailable("Vast.ai's list of instances has no end.", reason="VAST")

    async def create(self, offer: str, order: Row) -> str:
        """Create an instance of an offer, without retries; return its number.

        Raises OfferGone (nothing was created), LaunchUnknown (it may exist), or the errors of the class (nothing was).
        """
        await self._limits["create"].turn()
        try:
            body = await self._once("PUT", f"/api/v0/asks/{offer}/", json=order)
        except NotThere as error:
            raise OfferGone(error.message, reason=error.reason) from error
        except TooSoon as error:
            self._limits["create"].pause(error.seconds or self._backoff.first_seconds)
            raise
        number = body.get("new_contract")
        if not number:
            raise LaunchUnknown("Vast.ai's answer to a create has no instance number.", reason="UNCLEAR")
        return str(number)

    async def destroy(self, number: str) -> None:
        """Destroy an instance; one that is gone already is no error."""
        try:
            await self._repeated("destroy", "DELETE", f"/api/v0/instances/{number}/", json={})
        except NotThere:
            return

    async def _repeated(self, kind: str, method: str, path: str, **options: Any) -> Row:
        """Make a call that may be made more than once, with retries."""
        for failures in range(1, self._attempts + 1):
            await self._limits[kind].turn()
            try:
                return await self._once(method, path, **options)
            except Unavailable as error:
                if error.reason == "QUOTA":
                    self._limits[kind].pause(QUOTA_SECONDS)
                    raise
                if failures == self._attempts:
                    # It creates nothing: it is all the same whether the request or its answer was lost.
                    raise Unavailable(error.message, reason=error.reason) from error
                asked_seconds = error.seconds if isinstance(error, TooSoon) else 0.0
                self._limits[kind].pause(max(asked_seconds, self._backoff.pause_seconds(failures)))
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, **options: Any) -> Row:
        """Make one call. Raises Unavailable if it never left, LaunchUnknown if its answer is lost."""
        try:
            response = await answers.request(self._http, method, path, **options)
            body = response.json() if response.status_code == 200 else None
        except UNSENT as error:
            raise Unavailable(f"Vast.ai cannot be reached: {error}", reason="VAST") from error
        except (httpx.HTTPError, ValueError) as error:
            raise LaunchUnknown(
                f"Vast.ai's answer was lost: {error or type(error).__name__}", reason="UNCLEAR"
            ) from error
        if isinstance(body, dict) and body.get("success", True):
            return body
        refused = refusal(response, is_collection=path in COLLECTIONS)
        # What is behind a proxy may have done its work all the same.
        if response.status_code >= 500 or (response.status_code == 200 and not isinstance(body, dict)):
            raise LaunchUnknown(refused.message, reason="UNCLEAR")
        raise refused
