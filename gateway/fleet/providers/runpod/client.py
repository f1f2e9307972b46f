"""RunPod's API for one serverless endpoint: run, status, cancel, health; and its management API: endpoint, cards.

Sources: https://docs.runpod.io/serverless/endpoints/send-requests; for the management API, version 2, the OpenAPI
document of https://api.runpod.io. Calls are retried where that does no harm; one that starts a run only if RunPod
surely did not take it.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import httpx
import structlog

from gateway.fleet.providers import answers
from gateway.fleet.providers.runpod.management import Card, ManagedEndpoint, parse_cards
from gateway.ratelimit import CallRateLimit, retry_after_seconds
from servicekit.backoff import Backoff
from servicekit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from servicekit.problems import problem_text, retired

log = structlog.get_logger("gateway.fleet.runpod")

# Calls that RunPod accepts in 10 s. Travel times vary, so they are counted over a second more.
RATES = {"run": 1000, "status": 2000, "cancel": 100, "health": 2000, "endpoint": 60, "cards": 60}
RATE_SECONDS = 11.0
MAX_PAYLOAD_BYTES = 10_000_000
ATTEMPTS = 5
TIMEOUT = httpx.Timeout(20.0, connect=5.0)
MAX_TEXT = 300
RUNS_API = ("RunPod's API for runs", "RUNPOD_URL")
MANAGEMENT_API = ("RunPod's API for endpoints", "RUNPOD_REST_URL")
BACKOFF = Backoff(0.5, 30.0)


class NotTaken(Unavailable):
    """RunPod surely did not take the call: no connection, or HTTP status 429."""


class AnswerLost(Unavailable):
    """The call went out and no usable answer came: it may have been taken or not."""


class RunState(StrEnum):
    """The state of a run."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    UNKNOWN = "UNKNOWN"


# RunPod's pages use both names for a run that a worker has taken.
STATES = {state.value: state for state in RunState} | {"RUNNING": RunState.IN_PROGRESS}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """A run as RunPod reports it. `output` is the worker's: its progress, then its result; `execution_seconds` is 0 for
    a run that no worker has taken."""

    state: RunState
    output: Any = None
    error: str = ""
    execution_seconds: float = 0.0

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "RunStatus":
        """Parse the answer of a status call."""
        error, milliseconds = answer.get("error"), answer.get("executionTime")
        return cls(
            state=STATES.get(str(answer.get("status")), RunState.UNKNOWN),
            output=answer.get("output"),
            error=error if isinstance(error, str) else str(error or ""),
            execution_seconds=milliseconds / 1000 if isinstance(milliseconds, int | float) else 0.0,
        )


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """Workers of the endpoint, by state; those `throttled` cannot start, as no machine is free."""

    idle: int = 0
    initializing: int = 0
    running: int = 0
    throttled: int = 0

    @property
    def is_starting(self) -> bool:
        """True if a run in the queue will soon have a worker: one is idle or starting, or RunPod will start one."""
        return self.initializing > 0 or self.idle > 0 or (self.running == 0 and self.throttled == 0)


class RunpodClient:
    """Make the calls for one endpoint.

    All raise Unauthenticated (the key), NotFound (endpoint or run), FailedPrecondition (the account), and after the
    last retry NotTaken or AnswerLost, both Unavailable.
    """

    def __init__(self, url: str, endpoint_id: str, key: str, *, rest_url: str = "", backoff: Backoff = BACKOFF) -> None:
        """`url` as in https://api.runpod.ai/v2, `rest_url` as in https://api.runpod.io/v2."""
        self.endpoint_id = endpoint_id
        self._rest_url = rest_url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/{endpoint_id}/",
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=TIMEOUT,
        )
        self._limits = {call: CallRateLimit(calls, RATE_SECONDS) for call, calls in RATES.items()}
        self._backoff = backoff

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def run(self, payload: Mapping[str, Any], execution_seconds: float, life_seconds: float) -> str:
        """Queue a run and return its id. It may work for `execution_seconds`, and exists for `life_seconds` in all.

        Raises InvalidArgument and ResourceExhausted (TOO_LARGE) for the payload. AnswerLost is not retried.
        """
        policy = {"executionTimeout": round(execution_seconds * 1000), "ttl": round(life_seconds * 1000)}
        body = json.dumps({"input": payload, "policy": policy}).encode()
        if len(body) > MAX_PAYLOAD_BYTES:
            text = f"The request is {len(body)} bytes for RunPod, and {MAX_PAYLOAD_BYTES} are the most."
            raise ResourceExhausted(text, reason="TOO_LARGE")
        answer = await self._with_retries("run", "POST", "run", body, NotTaken)
        run_id = answer.get("id")
        if not isinstance(run_id, str) or not run_id:
            raise AnswerLost("RunPod's answer to a run has no id.")
        return run_id

    async def status(self, run_id: str) -> RunStatus:
        """Return the status of a run. Raises NotFound also for one whose result has expired."""
        return RunStatus.parse(await self._with_retries("status", "GET", f"status/{run_id}"))

    async def cancel(self, run_id: str) -> None:
        """Cancel a run; one that has ended, or is gone, is no error."""
        try:
            await self._with_retries("cancel", "POST", f"cancel/{run_id}")
        except (NotFound, InvalidArgument):
            log.debug("run to cancel has ended", run=run_id)

    async def health(self) -> EndpointHealth:
        """Return the workers of the endpoint, without retries: callers poll."""
        workers = (await self._once("health", "GET", "health")).get("workers")
        counts = workers if isinstance(workers, dict) else {}
        return EndpointHealth(**{field.name: int(counts.get(field.name) or 0) for field in fields(EndpointHealth)})

    async def endpoint(self) -> ManagedEndpoint:
        """Return how the endpoint is set up, from the management API, which a key may have no right to. Raises
        FailedPrecondition where that API is not there any more."""
        try:
            answer = await self._once("endpoint", "GET", f"{self._rest_url}/serverless/{self.endpoint_id}")
        except NotFound:
            await self.cards()  # an API that was retired as a whole has no catalog either
            raise
        return ManagedEndpoint.parse(answer)

    async def cards(self) -> list[Card]:
        """Return the cards of RunPod Serverless with their stock, from the management API."""
        query = "include=AVAILABILITY&product=SERVERLESS"
        return parse_cards(await self._once("cards", "GET", f"{self._rest_url}/catalog/gpus?{query}"))

    async def _with_retries(
        self,
        call: str,
        method: str,
        path: str,
        body: bytes | None = None,
        retried: type[ServiceError] = Unavailable,
    ) -> dict[str, Any]:
        for failures in range(1, ATTEMPTS):
            try:
                return await self._once(call, method, path, body)
            except retried as error:
                log.debug("retrying RunPod call", call=call, error=error.message)
                await asyncio.sleep(self._backoff.pause_seconds(failures))
        return await self._once(call, method, path, body)

    async def _once(self, call: str, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        await self._limits[call].turn()
        try:
            response = await answers.request(self._http, method, path, content=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotTaken(f"RunPod cannot be reached ({type(error).__name__}).") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AnswerLost(f"RunPod did not answer ({type(error).__name__}).") from error
        if response.status_code == 429:
            header = response.headers.get("retry-after", "")
            self._limits[call].pause(retry_after_seconds(header, self._backoff.first_seconds))
        if response.status_code != 200:
            raise self._refusal(call, response)
        try:
            answer = response.json()
        except ValueError as error:
            raise AnswerLost("RunPod's answer is not JSON.") from error
        if not isinstance(answer, dict):
            raise AnswerLost("RunPod's answer is not a JSON object.")
        return answer

    def _refusal(self, call: str, response: httpx.Response) -> ServiceError:
        status, body = response.status_code, response.text
        if status == 410 or (status == 404 and call == "cards"):
            is_management = call in ("endpoint", "cards")
            api, setting = MANAGEMENT_API if is_management else RUNS_API
            return retired(api, setting, status, body)
        if status == 404 and call in ("run", "health", "endpoint"):
            # What is no JSON was said by whatever stands where the API was.
            moved = "" if body.lstrip().startswith("{") else "; or its API has moved: check RUNPOD_URL, update api-gpu"
            return NotFound(f"RunPod has no endpoint of this id; check RUNPOD_ENDPOINT_ID{moved}.")
        # A proxy in front may fail after the call went through.
        otherwise = (AnswerLost, "failed") if status >= 500 else (FailedPrecondition, "refuses the call")
        kind, text = REFUSALS.get(status, otherwise)
        reason = "TOO_LARGE" if kind is ResourceExhausted else ""
        said = "" if kind is Unauthenticated else problem_text(body)
        return kind(f"RunPod {text} (HTTP status {status})." + (f" It said: {said}" if said else ""), reason=reason)


REFUSALS: dict[int, tuple[type[ServiceError], str]] = {
    400: (InvalidArgument, "rejects the request"),
    422: (InvalidArgument, "rejects the request"),
    401: (Unauthenticated, "does not accept the key; check RUNPOD_API_KEY"),
    402: (FailedPrecondition, "account has insufficient credit; add funds"),
    403: (Unauthenticated, "does not allow this key to use the endpoint; check RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID"),
    404: (NotFound, "does not know the run, or its result has expired"),
    413: (ResourceExhausted, "rejects a request of this size; make it smaller, or send several"),
    429: (NotTaken, "rate limit was hit"),
}
