"""RunPod's API for one serverless endpoint: run, status, cancel, health.

Source: https://docs.runpod.io/serverless/endpoints/send-requests. A call is repeated only where that does no harm: one
that starts a run is, when it surely was not taken.
"""

import asyncio
import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx
import structlog

from gateway.fleet.providers.base import EndpointConfig
from gateway.ratelimit import WindowRateLimit
from servicekit.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServiceError,
    Unauthenticated,
    Unavailable,
)

log = structlog.get_logger("runpod")

# Calls that RunPod takes in 10 s. Answers do not travel evenly, so they are counted over a second more.
RATES = {"run": 1000, "status": 2000, "cancel": 100, "health": 2000, "config": 100}
RATE_SECONDS = 11.0
MAX_PAYLOAD_BYTES = 10_000_000
TRIES = 5
TIMEOUT = httpx.Timeout(20.0, connect=5.0)
MOST_PATIENCE_SECONDS = 60.0
MAX_TEXT = 300


class NotTaken(Unavailable):
    """RunPod surely did not take the call: no connection, or it asked for patience."""


class AnswerLost(Unavailable):
    """The call went out and no usable answer came: it may have been taken or not."""


class RunState(StrEnum):
    """Where a run stands."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"
    UNKNOWN = "UNKNOWN"


# RunPod's pages use both names for a run that a worker has.
STATES = {state.value: state for state in RunState} | {"RUNNING": RunState.IN_PROGRESS}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """What RunPod tells of a run. `output` is the worker's, progress too while it works; `error` is text;
    `execution_seconds` is 0 for a run that no worker has had."""

    state: RunState
    output: Any = None
    error: str = ""
    execution_seconds: float = 0.0

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "RunStatus":
        """The status in an answer."""
        error, milliseconds = answer.get("error"), answer.get("executionTime")
        return cls(
            state=STATES.get(str(answer.get("status")), RunState.UNKNOWN),
            output=answer.get("output"),
            error=error if isinstance(error, str) else str(error or ""),
            execution_seconds=milliseconds / 1000 if isinstance(milliseconds, int | float) else 0.0,
        )


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """Workers of the endpoint: that wait for work, start, work, and cannot start as no machine is free."""

    idle: int
    initializing: int
    running: int
    throttled: int

    @property
    def is_starting(self) -> bool:
        """Whether a run that no worker has yet will soon have one: some start, wait, or will be made to start."""
        return self.initializing > 0 or self.idle > 0 or (self.running == 0 and self.throttled == 0)


class RunpodClient:
    """Errors of every method: Unauthenticated (the key), NotFound (endpoint or run), FailedPrecondition (the account),
    NotTaken and AnswerLost, both Unavailable, when tries are used up."""

    def __init__(self, url: str, endpoint_id: str, key: str, *, rest_url: str = "", retry_seconds: float = 0.5) -> None:
        """`url` as in https://api.runpod.ai/v2, `rest_url` as in https://rest.runpod.io/v1; `retry_seconds` is the
        first pause before a call is repeated."""
        self.endpoint_id = endpoint_id
        self._rest_url = rest_url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/{endpoint_id}/",
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=TIMEOUT,
        )
        self._rates = {call: WindowRateLimit(calls, RATE_SECONDS) for call, calls in RATES.items()}
        self._retry_seconds = retry_seconds

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def run(self, payload: Mapping[str, Any], execution_seconds: float, life_seconds: float) -> str:
        """Queue a run; its id. It may work for `execution_seconds`, and is dropped after `life_seconds` in all.

        Raises InvalidArgument and ResourceExhausted (TOO_LARGE) for the payload. An AnswerLost is not repeated.
        """
        policy = {"executionTimeout": round(execution_seconds * 1000), "ttl": round(life_seconds * 1000)}
        body = json.dumps({"input": payload, "policy": policy}).encode()
        if len(body) > MAX_PAYLOAD_BYTES:
            text = f"The request has {len(body)} bytes as RunPod takes it, and {MAX_PAYLOAD_BYTES} are the most."
            raise ResourceExhausted(text, reason="TOO_LARGE")
        answer = await self._patiently("run", "POST", "run", body, NotTaken)
        run_id = answer.get("id")
        if not isinstance(run_id, str) or not run_id:
            raise AnswerLost("RunPod took a run and did not say under which id.")
        return run_id

    async def status(self, run_id: str) -> RunStatus:
        """Where a run stands. Raises NotFound also for one whose result RunPod keeps no more."""
        return RunStatus.parse(await self._patiently("status", "GET", f"status/{run_id}"))

    async def cancel(self, run_id: str) -> None:
        """End a run; one that has ended, or is gone, is no fault."""
        try:
            await self._patiently("cancel", "POST", f"cancel/{run_id}")
        except (NotFound, InvalidArgument):
            log.debug("a run to cancel is over", run=run_id)

    async def health(self) -> EndpointHealth:
        """How the endpoint fares. Asked once: whoever wants to know asks all the time."""
        await self._rates["health"].turn()
        workers = (await self._once("health", "GET", "health", None)).get("workers")
        counts = workers if isinstance(workers, dict) else {}
        names = ("idle", "initializing", "running", "throttled")
        return EndpointHealth(*(int(counts.get(name) or 0) for name in names))

    async def config(self) -> EndpointConfig:
        """How the endpoint is set up. A key may have no right to ask."""
        await self._rates["config"].turn()
        told = await self._once("config", "GET", f"{self._rest_url}/endpoints/{self.endpoint_id}", None)
        try:
            return EndpointConfig(self.endpoint_id, told["idleTimeout"], round(told["executionTimeoutMs"] / 1000))
        except (KeyError, TypeError) as error:
            raise AnswerLost("RunPod does not tell how the endpoint is set up.") from error

    async def _patiently(
        self,
        call: str,
        method: str,
        path: str,
        body: bytes | None = None,
        repeated: type[ServiceError] = Unavailable,
    ) -> dict[str, Any]:
        """The answer; the call is repeated for errors that are `repeated`."""
        for number in range(TRIES):
            await self._rates[call].turn()
            try:
                return await self._once(call, method, path, body)
            except repeated as error:
                if number == TRIES - 1:
                    raise
                log.debug("asking RunPod again", call=call, why=error.message)
                # Whole herds of gateways that failed together must not come back together.
                await asyncio.sleep(self._retry_seconds * 2**number * random.uniform(0.5, 1.0))
        raise AssertionError("unreachable")

    async def _once(self, call: str, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        try:
            response = await self._http.request(method, path, content=body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotTaken(f"RunPod cannot be reached ({type(error).__name__}).") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AnswerLost(f"RunPod did not answer ({type(error).__name__}).") from error
        if response.status_code == 429:
            self._rates[call].pause(_patience(response.headers.get("retry-after", ""), self._retry_seconds))
        if response.status_code != 200:
            raise self._refusal(call, response)
        try:
            answer = response.json()
        except ValueError as error:
            raise AnswerLost("RunPod's answer is no JSON.") from error
        if not isinstance(answer, dict):
            raise AnswerLost("RunPod's answer is no JSON object.")
        return answer

    def _refusal(self, call: str, response: httpx.Response) -> ServiceError:
        status = response.status_code
        if status == 404 and call in ("run", "health", "config"):
            return NotFound(f"RunPod has no endpoint {self.endpoint_id!r}; check RUNPOD_ENDPOINT_ID.")
        kind, text = REFUSALS.get(status, SERVER_FAILED if status >= 500 else REFUSED)
        reason = "TOO_LARGE" if kind is ResourceExhausted else ""
        said = "" if kind is Unauthenticated else f" It said: {response.text[:MAX_TEXT]}" if response.text else ""
        return kind(f"RunPod {text} (HTTP status {status}).{said}", reason=reason)


Verdict = tuple[type[ServiceError], str]

REFUSALS: dict[int, Verdict] = {
    400: (InvalidArgument, "does not take the call"),
    401: (Unauthenticated, "does not take the key; check RUNPOD_API_KEY"),
    402: (FailedPrecondition, "wants money; charge the account"),
    403: (Unauthenticated, "does not let this key use the endpoint; check RUNPOD_API_KEY and RUNPOD_ENDPOINT_ID"),
    404: (NotFound, "does not know the run, or its result has expired"),
    413: (ResourceExhausted, "does not take so large a request; make it smaller, or send several"),
    429: (NotTaken, "gets too many calls"),
}
# A proxy in front may fail after the call went through.
SERVER_FAILED: Verdict = (AnswerLost, "failed")
REFUSED: Verdict = (FailedPrecondition, "refuses the call")


def _patience(header: str, otherwise: float) -> float:
    """Seconds of Retry-After, which may be a date."""
    try:
        seconds = (
            float(header) if header.strip().isdecimal() else parsedate_to_datetime(header).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        seconds = otherwise
    return min(max(seconds, 0.0), MOST_PATIENCE_SECONDS)
