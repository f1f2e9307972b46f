"""RunPod's management API, emulated: templates and endpoints."""

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TEMPLATE = {
    "category": "NVIDIA",
    "containerDiskInGb": 50,
    "containerRegistryAuthId": "",
    "dockerEntrypoint": [],
    "dockerStartCmd": [],
    "env": {},
    "imageName": "",
    "isPublic": False,
    "isServerless": False,
    "name": "",
    "ports": [],
    "readme": "",
    "volumeInGb": 20,
    "volumeMountPath": "/workspace",
}
ENDPOINT = {
    "allowedCudaVersions": [],
    "computeType": "GPU",
    "dataCenterIds": [],
    "executionTimeoutMs": 600_000,
    "flashboot": False,
    "gpuCount": 1,
    "gpuTypeIds": [],
    "idleTimeout": 5,
    "minCudaVersion": "",
    "name": "",
    "networkVolumeId": "",
    "scalerType": "QUEUE_DELAY",
    "scalerValue": 4,
    "templateId": "",
    "workersMax": 3,
    "workersMin": 0,
}
# What the API takes and never tells: FlashBoot is seen by the end of the name.
UNTOLD = ("flashboot",)
# What is settled when it is made.
SETTLED = frozenset({"category", "isServerless", "computeType"})
FLASHBOOT = " -fb"


class Refused(Exception):
    """A request that the API refuses: 400, and why."""


class Management:
    """Templates and endpoints of one account."""

    def __init__(self, template_release_seconds: float = 0.0) -> None:
        self.templates: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        # A template stays in use for so long after its endpoint is gone (RunPod: up to two minutes).
        self.template_release_seconds = template_release_seconds
        self._released_at: dict[str, float] = {}
        self._made = 0

    def routes(self) -> list[Route]:
        """The routes under /v1."""
        found = []
        for kind in ("templates", "endpoints"):
            found += [
                Route(f"/{kind}", getattr(self, f"_{kind}"), methods=["GET", "POST"]),
                Route(f"/{kind}/{{id}}", getattr(self, f"_{kind[:-1]}"), methods=["GET", "PATCH", "DELETE"]),
            ]
        return found

    async def _templates(self, request: Request) -> Response:
        if request.method == "GET":
            bound = set() if _asked(request, "includeEndpointBoundTemplates") else self._bound()
            return JSONResponse([made for id_, made in self.templates.items() if id_ not in bound])
        return await self._make(request, self.templates, TEMPLATE, ("imageName", "name"))

    async def _template(self, request: Request) -> Response:
        return await self._one(request, self.templates, TEMPLATE)

    async def _endpoints(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse([_told(made) for made in self.endpoints.values()])
        return await self._make(request, self.endpoints, ENDPOINT, ("templateId",))

    async def _endpoint(self, request: Request) -> Response:
        return await self._one(request, self.endpoints, ENDPOINT)

    async def _make(self, request: Request, kept: dict[str, Any], form: dict[str, Any], needed: tuple[str, ...]) -> Any:
        try:
            values = _checked(await request.json(), form)
            if missing := [name for name in needed if not values.get(name)]:
                raise Refused(f"{missing[0]} is required")
            self._check(kept, values, "")
        except Refused as error:
            return _problem(400, str(error))
        self._made += 1
        made = {**form, **values, "id": f"{'t' if kept is self.templates else 'e'}{self._made:012d}"}
        kept[made["id"]] = _named(made)
        return JSONResponse(_told(made), 201)

    async def _one(self, request: Request, kept: dict[str, Any], form: dict[str, Any]) -> Response:
        id_ = request.path_params["id"]
        if id_ not in kept:
            return _problem(404, "not found")
        try:
            if request.method == "PATCH":
                values = _checked(await request.json(), {name: form[name] for name in form.keys() - SETTLED})
                self._check(kept, values, id_)
                kept[id_].update(values)
                _named(kept[id_])
            elif request.method == "DELETE":
                self._delete(kept, id_)
                return Response(status_code=204)
        except Refused as error:
            return _problem(400, str(error))
        return JSONResponse(_told(kept[id_]))

    def _check(self, kept: dict[str, Any], values: dict[str, Any], id_: str) -> None:
        if kept is self.templates:
            if any(one["name"] == values.get("name") and one["id"] != id_ for one in kept.values()):
                raise Refused("Template name must be unique.")
            return
        merged = {**ENDPOINT, **kept.get(id_, {}), **values}
        if merged["templateId"] not in self.templates:
            raise Refused("template not found")
        if not 1 <= merged["idleTimeout"] <= 3600:
            raise Refused("idleTimeout must be between 1 and 3600")
        if merged["workersMin"] > merged["workersMax"]:
            raise Refused("workersMin must not exceed workersMax")

    def _delete(self, kept: dict[str, Any], id_: str) -> None:
        if kept is self.templates:
            if id_ in self._bound() or time.monotonic() < self._released_at.get(id_, 0.0):
                raise Refused("template is in use by an endpoint")
        elif kept[id_]["workersMax"]:
            raise Refused("set workersMin and workersMax to 0 before the endpoint is deleted")
        else:
            self._released_at[kept[id_]["templateId"]] = time.monotonic() + self.template_release_seconds
        del kept[id_]

    def _bound(self) -> set[str]:
        return {endpoint["templateId"] for endpoint in self.endpoints.values()}


def _checked(values: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """Raise Refused for fields that the API does not know, or of another type."""
    for name, value in values.items():
        if name not in form:
            raise Refused(f"unknown field {name}")
        if type(value) is not type(form[name]):
            raise Refused(f"{name} has the wrong type")
    return values


def _named(made: dict[str, Any]) -> dict[str, Any]:
    if "flashboot" in made:
        made["name"] = made["name"].removesuffix(FLASHBOOT) + (FLASHBOOT if made["flashboot"] else "")
    return made


def _told(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name not in UNTOLD}


def _asked(request: Request, name: str) -> bool:
    return request.query_params.get(name) == "true"


def _problem(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": text, "status": status}, status)
