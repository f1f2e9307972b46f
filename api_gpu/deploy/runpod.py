"""RunPod's management API: the template and the endpoint that encoders of RunPod Serverless are started from."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import Field, SecretStr

from servicekit.config import Settings
from servicekit.errors import FailedPrecondition, Internal, InvalidArgument, ServiceError, Unauthenticated, Unavailable

# With an encoder (NVENC), the cheaper ones first.
GPU_TYPES = (
    "NVIDIA RTX A4000",
    "NVIDIA RTX 4000 Ada Generation",
    "NVIDIA L4",
    "NVIDIA RTX A5000",
    "NVIDIA GeForce RTX 4090",
)
# The encoder's default of BATCH_SIZE.
SLOTS = 3
WITHOUT_ENCODER = ("A100", "H100", "H200")
# RunPod shows by the end of an endpoint's name that FlashBoot is on.
FLASHBOOT = " -fb"
TIMEOUT_SECONDS = 30.0
# A template counts as used for up to two minutes after its endpoint is gone.
RELEASE_SECONDS = 150.0
RELEASE_POLL_SECONDS = 5.0


class RunPodSettings(Settings):
    """Settings of the account: its key, and the URL of the API."""

    runpod_api_key: SecretStr = Field(min_length=1)
    runpod_rest_url: str = "https://rest.runpod.io/v1"


@dataclass(frozen=True)
class Deployment:
    """The template and the endpoint to create or update. Times are seconds."""

    name: str
    image: str
    gpu_types: Sequence[str] = GPU_TYPES
    min_workers: int = 0
    max_workers: int = 3
    idle_timeout_seconds: int = 300
    execution_timeout_seconds: int = 600
    is_flashboot: bool = True
    disk_gb: int = 20
    registry_auth_id: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

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
            if any(chip in name for chip in WITHOUT_ENCODER):
                raise InvalidArgument(f"{name} has no video encoder; take another card, such as {GPU_TYPES[0]}.")
        if self.min_workers > self.max_workers:
            raise InvalidArgument("There cannot be more workers at least than at most.")

    def template(self) -> dict[str, Any]:
        """Return the template as the API takes it."""
        registry = {"containerRegistryAuthId": self.registry_auth_id} if self.registry_auth_id else {}
        return {
            "name": self.name,
            "imageName": self.image,
            "containerDiskInGb": self.disk_gb,
            "env": dict(self.environment),
            "volumeInGb": 0,
            **registry,
        }

    def endpoint(self, template_id: str) -> dict[str, Any]:
        """Return the endpoint as the API takes it."""
        return {
            "name": self.name,
            "templateId": template_id,
            "gpuTypeIds": list(self.gpu_types),
            "workersMin": self.min_workers,
            "workersMax": self.max_workers,
            "idleTimeout": self.idle_timeout_seconds,
            "executionTimeoutMs": self.execution_timeout_seconds * 1000,
            "flashboot": self.is_flashboot,
            # Workers for the tasks that there are; by how long these wait it would start more while the first comes up.
            "scalerType": "REQUEST_COUNT",
            "scalerValue": self.slots,
        }


@dataclass(frozen=True)
class Account:
    """Templates and endpoints of an account, which are found by their names: the API has no other identity."""

    http: httpx.Client

    @classmethod
    def connect(cls, settings: RunPodSettings) -> "Account":
        """Return the account of the key in the settings."""
        headers = {"Authorization": f"Bearer {settings.runpod_api_key.get_secret_value()}"}
        return cls(httpx.Client(base_url=settings.runpod_rest_url, headers=headers, timeout=TIMEOUT_SECONDS))

    def deploy(self, wanted: Deployment, report: Callable[[str], None]) -> str:
        """Create or update template and endpoint, and return the endpoint's id. May be repeated at any time, also after
        it failed halfway. Raises ServiceError."""
        wanted.check()
        template = self._save(
            "templates", self._template(wanted.name), wanted.template(), {"isServerless": True}, report
        )
        return self._save("endpoints", self._endpoint(wanted.name), wanted.endpoint(template), {}, report)

    def destroy(
        self,
        name: str,
        report: Callable[[str], None],
        release_seconds: float = RELEASE_SECONDS,
        poll_seconds: float = RELEASE_POLL_SECONDS,
    ) -> None:
        """Delete endpoint and template, and end the workers. Raises ServiceError, but not where there is nothing."""
        endpoint, template = self._endpoint(name), self._template(name)
        if endpoint:
            # It can be deleted only without workers.
            self._call("PATCH", f"endpoints/{endpoint}", {"workersMin": 0, "workersMax": 0})
            self._call("DELETE", f"endpoints/{endpoint}")
            report(f"endpoint {endpoint} is removed")
        if template:
            self._delete_template(template, time.monotonic() + release_seconds, poll_seconds, report)
            report(f"template {template} is removed")
        if not endpoint and not template:
            report(f"there is nothing of the name {name}")

    def _delete_template(self, template: str, end: float, poll_seconds: float, report: Callable[[str], None]) -> None:
        while True:
            try:
                self._call("DELETE", f"templates/{template}")
            except InvalidArgument:
                if time.monotonic() > end:
                    raise
            else:
                return
            report(f"template {template} is still in use; trying again")
            time.sleep(poll_seconds)

    def _save(
        self, kind: str, known: str, values: dict[str, Any], once: dict[str, Any], report: Callable[[str], None]
    ) -> str:
        if known:
            self._call("PATCH", f"{kind}/{known}", values)
            report(f"{kind.removesuffix('s')} {known} is updated")
            return known
        made = str(self._call("POST", kind, {**values, **once})["id"])
        report(f"{kind.removesuffix('s')} {made} is made")
        return made

    def _template(self, name: str) -> str:
        return _single_id(self._call("GET", "templates?includeEndpointBoundTemplates=true"), {name}, "template")

    def _endpoint(self, name: str) -> str:
        return _single_id(self._call("GET", "endpoints"), {name, name + FLASHBOOT}, "endpoint")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            response = self.http.request(method, path, json=body)
            if response.is_success:
                return response.json() if response.content else None
        except httpx.HTTPError as error:
            raise Unavailable(f"RunPod's API does not answer ({type(error).__name__}); try again.") from error
        except ValueError as error:
            raise Unavailable("What answers at RUNPOD_REST_URL is not RunPod's API.") from error
        raise _error_of(method, path, response)


def _single_id(found: Any, names: set[str], kind: str) -> str:
    """Return the id of the one that has one of the names; "" for none. Raises FailedPrecondition for several."""
    ids = [str(one["id"]) for one in found if one.get("name") in names]
    if len(ids) > 1:
        raise FailedPrecondition(
            f"{len(ids)} {kind}s have this name ({', '.join(ids)}); remove those that are not ours."
        )
    return ids[0] if ids else ""


def _error_of(method: str, path: str, response: httpx.Response) -> ServiceError:
    status, text = response.status_code, response.text.strip()[:500]
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Unauthenticated(f"RunPod refuses RUNPOD_API_KEY (HTTP {status}); it needs rights on endpoints.")
    if status == HTTPStatus.TOO_MANY_REQUESTS or response.is_server_error:
        return Unavailable(f"RunPod's API cannot answer now (HTTP {status}); try again.")
    if response.is_client_error:
        return InvalidArgument(f"RunPod refuses {method} {path.partition('?')[0]}: {text}")
    return Internal(f"RunPod's API answers HTTP {status} to {method} {path.partition('?')[0]}.")
