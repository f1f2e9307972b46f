"""RunPod's management API, version 2: the endpoint that encoders of RunPod Serverless are started from.

Source: the OpenAPI document of https://api.runpod.io, paths /v2/serverless and /v2/catalog/gpus.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar

import httpx
from pydantic import Field, SecretStr

from servicekit.config import Settings
from servicekit.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from servicekit.problems import problem_text, retired

# With an encoder (NVENC).
GPU_TYPES = (
    "NVIDIA RTX A4000",
    "NVIDIA RTX 4000 Ada Generation",
    "NVIDIA L4",
    "NVIDIA RTX A5000",
    "NVIDIA GeForce RTX 4090",
)
# The encoder's default of BATCH_SIZE.
SLOTS = 3
WITHOUT_ENCODER = ("A100", "H100", "H200", "B200", "B300")
# Longer than a worker takes to start, as a rule: else tasks that wait for the first one would start more.
QUEUE_DELAY_SECONDS = 20.0
# An endpoint that was made by version 1 of the API shows by the end of its name that FlashBoot is on.
FLASHBOOT = " -fb"
QUEUE = "QUEUE"
TIMEOUT_SECONDS = 30.0
API, URL_SETTING = "RunPod's API for endpoints", "RUNPOD_REST_URL"

Report = Callable[[str], None]


class RunPodSettings(Settings):
    """Settings of the account: its key, and the URL of the API."""

    tables: ClassVar[tuple[str, ...]] = ("gateway",)

    runpod_api_key: SecretStr = Field(min_length=1)
    runpod_rest_url: str = "https://api.runpod.io/v2"


@dataclass(frozen=True)
class GpuSelection:
    """Cards as the API selects them: whole pools, less some types of these. `stock` is that of each card chosen: NONE,
    LOW, MEDIUM, HIGH; "" where it is not known."""

    pools: Sequence[str]
    excluded: Sequence[str]
    stock: Mapping[str, str]

    @classmethod
    def of(cls, catalog: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> "GpuSelection":
        """Return the selection of the cards `wanted` (none: those of GPU_TYPES that there are). Raises InvalidArgument
        for one that the catalog does not have in a pool."""
        offered = {str(gpu["id"]): gpu for gpu in catalog if gpu.get("id") and gpu.get("pool")}
        names = {str(gpu.get("name")): gpu_id for gpu_id, gpu in offered.items()}
        chosen = [names.get(name, name) for name in wanted or GPU_TYPES]
        missing = [name for name in chosen if name not in offered]
        if missing and (wanted or len(missing) == len(chosen)):
            known = ", ".join(sorted(gpu_id for gpu_id in offered if has_encoder(gpu_id)))
            raise InvalidArgument(f"RunPod Serverless has no card {missing[0]!r}; it has: {known or 'none'}.")
        chosen = [name for name in chosen if name in offered]
        pools = list(dict.fromkeys(str(offered[name]["pool"]) for name in chosen))
        excluded = sorted(name for name, gpu in offered.items() if gpu["pool"] in pools and name not in chosen)
        return cls(pools, excluded, {name: str(offered[name].get("availability") or "") for name in chosen})

    def request(self) -> dict[str, Any]:
        """Return the selection as the API takes it."""
        excluded = {"excludedTypes": list(self.excluded)} if self.excluded else {}
        return {"pools": list(self.pools), "count": 1, **excluded}

    def report(self) -> str:
        """Return the stock as a line for people."""
        shown = ", ".join(f"{name} ({level.lower() or 'unknown'})" for name, level in self.stock.items())
        is_none = all(level == "NONE" for level in self.stock.values())
        return f"in stock now: {shown}" + ("; tasks wait until a card is free, more of them with --gpu" * is_none)


def has_encoder(gpu: str) -> bool:
    """Return False for a card that is known to have no video encoder."""
    return not any(chip in gpu for chip in WITHOUT_ENCODER)


@dataclass(frozen=True)
class Deployment:
    """The endpoint to create or update. Times are seconds; no `gpu_types` are those of GPU_TYPES."""

    name: str
    image: str
    gpu_types: Sequence[str] = ()
    min_workers: int = 0
    max_workers: int = 3
    idle_timeout_seconds: int = 300
    execution_timeout_seconds: int = 600
    is_flashboot: bool = True
    disk_gb: int = 20
    registry_auth_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    queue_delay_seconds: float = QUEUE_DELAY_SECONDS

    @property
    def slots(self) -> int:
        """Tasks that a worker runs at once. Raises InvalidArgument."""
        text = self.environment.get("BATCH_SIZE", str(SLOTS))
        if not text.isdecimal() or int(text) < 1:
            raise InvalidArgument(f"BATCH_SIZE={text} is no number of tasks at once; give one from 1.")
        return int(text)

    def check(self) -> None:
        """Raise InvalidArgument for what cannot work."""
        _ = self.slots
        for name in self.gpu_types:
            if not has_encoder(name):
                raise InvalidArgument(f"{name} has no video encoder; take another card, such as {GPU_TYPES[0]}.")
        if self.min_workers > self.max_workers:
            raise InvalidArgument("There cannot be more workers at least than at most.")

    def request(self, gpu: GpuSelection) -> dict[str, Any]:
        """Return the endpoint as the API takes it for an update; a create needs its `type` too."""
        registry = {"registry": self.registry_auth_id} if self.registry_auth_id else {}
        return {
            "name": self.name,
            "image": self.image,
            "disk": self.disk_gb,
            "env": dict(self.environment),
            "gpu": gpu.request(),
            "workers": {
                "min": self.min_workers,
                "max": self.max_workers,
                "idleTimeout": self.idle_timeout_seconds,
            },
            # An idle timeout can be set with this scaler alone, and idle workers are what costs and what is fast.
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": self.queue_delay_seconds},
            "timeout": self.execution_timeout_seconds * 1000,
            "flashboot": "FLASHBOOT" if self.is_flashboot else "OFF",
            **registry,
        }


@dataclass(frozen=True)
class Account:
    """Endpoints of an account, which are found by their names."""

    http: httpx.Client

    @classmethod
    def connect(cls, settings: RunPodSettings) -> "Account":
        """Return the account of the key in the settings."""
        headers = {"Authorization": f"Bearer {settings.runpod_api_key.get_secret_value()}"}
        base = settings.runpod_rest_url.rstrip("/") + "/"
        return cls(httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_SECONDS))

    def deploy(self, wanted: Deployment, report: Report) -> str:
        """Create or update the endpoint, and return its id. May be repeated at any time. Raises ServiceError."""
        wanted.check()
        gpu = GpuSelection.of(self._gpus(), wanted.gpu_types)
        report(gpu.report())
        body, known = wanted.request(gpu), self._endpoint(wanted.name)
        if known is None:
            made = _id_of(self._call("POST", "serverless", {"type": QUEUE, **body}))
            report(f"endpoint {made} is made")
            return made
        found = _id_of(known)
        if known.get("type", QUEUE) != QUEUE:
            raise FailedPrecondition(f"Endpoint {found} of this name has no queue; remove it, or give another --name.")
        self._call("PATCH", f"serverless/{found}", body)
        report(f"endpoint {found} is updated")
        return found

    def destroy(self, name: str, report: Report) -> None:
        """Delete the endpoint, and end its workers and what is in its queue. Raises ServiceError, but not where there
        is nothing."""
        known = self._endpoint(name)
        if known is None:
            report(f"there is nothing of the name {name}")
            return
        self._call("DELETE", f"serverless/{_id_of(known)}")
        report(f"endpoint {_id_of(known)} is removed")

    def _gpus(self) -> list[dict[str, Any]]:
        return self._list("catalog/gpus", "gpus", {"include": "AVAILABILITY", "product": "SERVERLESS"})

    def _endpoint(self, name: str) -> dict[str, Any] | None:
        """Return the endpoint of the name, None for none. Raises FailedPrecondition for several."""
        names = {name, name + FLASHBOOT}
        found = [endpoint for endpoint in self._list("serverless", "endpoints") if endpoint.get("name") in names]
        if len(found) > 1:
            ids = ", ".join(map(_id_of, found))
            raise FailedPrecondition(f"{len(found)} endpoints have this name ({ids}); remove those that are not ours.")
        return found[0] if found else None

    def _list(self, path: str, name: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Return a whole collection. Raises FailedPrecondition where the API is gone, Unavailable for another one."""
        answer = self._call("GET", path, query=query)
        listed = answer.get(name) if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise Unavailable(f"What answers at {URL_SETTING} is not RunPod's API of version 2.")
        return [one for one in listed if isinstance(one, dict)]

    def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        try:
            response = self.http.request(method, path, json=body, params=query)
            if response.is_success:
                return response.json() if response.content else None
        except httpx.HTTPError as error:
            raise Unavailable(f"{API} does not answer ({type(error).__name__}); try again.") from error
        except ValueError as error:
            raise Unavailable(f"What answers at {URL_SETTING} is not RunPod's API.") from error
        raise _error_of(method, path, response)


def _id_of(endpoint: Any) -> str:
    """Return the id of an endpoint. Raises Unavailable for what is none."""
    found = endpoint.get("id") if isinstance(endpoint, dict) else None
    if not found:
        raise Unavailable(f"{API} answers with no endpoint; look at RunPod's console, and try again.")
    return str(found)


def _error_of(method: str, path: str, response: httpx.Response) -> ServiceError:
    status, text = response.status_code, problem_text(response.text)
    is_collection = "/" not in path.removeprefix("catalog/")
    if status == HTTPStatus.GONE or (status == HTTPStatus.NOT_FOUND and is_collection and method == "GET"):
        return retired(API, URL_SETTING, status, response.text)
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(f"RunPod knows nothing of {path}: {text}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Unauthenticated(f"RunPod refuses RUNPOD_API_KEY (HTTP {status}); it needs rights on endpoints.")
    if status == HTTPStatus.TOO_MANY_REQUESTS or response.is_server_error:
        return Unavailable(f"RunPod's API cannot answer now (HTTP {status}); try again. {text}".rstrip())
    if response.is_client_error:
        return InvalidArgument(f"RunPod refuses {method} {path}: {text}")
    return Internal(f"RunPod's API answers HTTP {status} to {method} {path}.")
