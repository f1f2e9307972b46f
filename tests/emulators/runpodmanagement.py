"""RunPod's management API, version 2, emulated: serverless endpoints, and the catalog of cards."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.emulators.runpodschemas import ANSWERS, PROBLEM, REQUESTS, faults

PROBLEM_TYPE = "application/problem+json"


def card(name: str, pool: str | None, stock: str = "HIGH", usd: float = 0.5) -> dict[str, Any]:
    """A type of card as the catalog has it, with its stock."""
    return {
        "id": name,
        "name": name.removeprefix("NVIDIA ").removeprefix("GeForce "),
        "pool": pool,
        "manufacturer": "NVIDIA",
        "memory": 24,
        "secure": True,
        "community": False,
        "price": {"secure": usd, "community": usd, **({"serverless": usd} if pool else {})},
        "maxCount": {"secure": 8, "community": 0},
        "availability": stock,
    }


CATALOG = (
    card("NVIDIA RTX A4000", "AMPERE_16"),
    card("NVIDIA RTX 4000 Ada Generation", "AMPERE_16"),
    card("NVIDIA RTX 2000 Ada Generation", "AMPERE_16"),
    card("NVIDIA L4", "AMPERE_24"),
    card("NVIDIA RTX A5000", "AMPERE_24"),
    card("NVIDIA GeForce RTX 3090", "AMPERE_24"),
    card("NVIDIA GeForce RTX 4090", "ADA_24"),
    card("NVIDIA A100 80GB PCIe", "AMPERE_80"),
    card("NVIDIA GeForce RTX 3070", None),
)
CONTAINER = {"args": "", "disk": 20, "env": {}, "ports": [], "registry": None}
DEFAULTS = {
    **CONTAINER,
    "workers": {"min": 0, "max": 3, "idleTimeout": 10},
    "dataCenterIds": [],
    "networkVolumes": [],
    "timeout": 300_000,
    "flashboot": "OFF",
}
GPU = {"count": 1, "excludedTypes": [], "allowedCudaVersions": [], "minCudaVersion": None}


class Refused(Exception):
    """A request that the API refuses: the status, and why."""

    def __init__(self, status: HTTPStatus, detail: str, errors: list[str] | None = None) -> None:
        super().__init__(detail)
        self.answer = problem(status, detail, errors)


@dataclass(frozen=True)
class Exchange:
    """A request, and what was answered; bodies are None where there are none. `path` is that of the specification."""

    method: str
    path: str
    query: dict[str, str]
    asked: Any
    status: int
    content_type: str
    answered: Any


class Management:
    """Endpoints and cards of one account. `exchanges` has all that was said. With `retired_status` the API is gone:
    each call is answered so, without a problem."""

    def __init__(self, retired_status: int = 0) -> None:
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.cards = list(CATALOG)
        self.exchanges: list[Exchange] = []
        self.retired_status = retired_status
        self._made = 0

    def app(self) -> ASGIApp:
        """The application under …/v2."""
        inner = Starlette(
            routes=[
                self._route("GET", "/serverless", self._list),
                self._route("POST", "/serverless", self._create),
                self._route("GET", "/serverless/{id}", self._get),
                self._route("PATCH", "/serverless/{id}", self._update),
                self._route("DELETE", "/serverless/{id}", self._delete),
                self._route("GET", "/catalog/gpus", self._catalog),
            ]
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            gone = Response("gone", self.retired_status, media_type="text/plain") if self.retired_status else None
            await (gone or inner)(scope, receive, send)

        return app

    def set_stock(self, stock: str) -> None:
        """Let every card have this stock."""
        self.cards = [{**one, "availability": stock} for one in self.cards]

    def add(self, endpoint_id: str, **changes: Any) -> dict[str, Any]:
        """An endpoint as it could have been made, for tests that read one."""
        made = {
            **DEFAULTS,
            "id": endpoint_id,
            "name": endpoint_id,
            "type": "QUEUE",
            "image": "registry/api-gpu:1",
            "gpu": {**GPU, "pools": ["AMPERE_24"]},
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 4},
            "createdAt": datetime.now(UTC).isoformat(),
            **changes,
        }
        self.endpoints[endpoint_id] = made
        return made

    def _route(self, method: str, path: str, handler: Any) -> Route:
        known = (method, f"/v2{path}")

        async def answered(request: Request) -> Response:
            body = await request.body()
            asked = json.loads(body) if body else None
            try:
                if wrong := faults(REQUESTS[known], asked) if known in REQUESTS else []:
                    raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Request validation failed.", wrong)
                response: Response = handler(request, asked)
            except Refused as refused:
                response = refused.answer
            self._note(known, dict(request.query_params), asked, response)
            return response

        return Route(path, answered, methods=[method])

    def _note(self, known: tuple[str, str], query: dict[str, str], asked: Any, response: Response) -> None:
        told = json.loads(bytes(response.body)) if response.body else None
        schema = ANSWERS.get(known) if response.status_code < HTTPStatus.BAD_REQUEST else PROBLEM
        assert schema is None or told is None or not faults(schema, told), faults(schema, told)
        kind = response.headers.get("content-type", "").partition(";")[0]
        self.exchanges.append(Exchange(*known, query, asked, response.status_code, kind, told))

    def _list(self, request: Request, asked: Any) -> Response:
        return JSONResponse({"endpoints": list(self.endpoints.values())})

    def _get(self, request: Request, asked: Any) -> Response:
        return JSONResponse(self._known(request))

    def _create(self, request: Request, asked: Any) -> Response:
        if ("gpu" in asked) == ("cpu" in asked):
            raise Refused(HTTPStatus.BAD_REQUEST, "exactly one of gpu and cpu is needed")
        if "templateId" in asked:
            raise Refused(HTTPStatus.NOT_FOUND, "template not found")
        workers = {**DEFAULTS["workers"], **asked.get("workers", {})}  # type: ignore[dict-item]
        if asked["scaling"]["type"] == "REQUEST_COUNT" and "idleTimeout" not in asked.get("workers", {}):
            del workers["idleTimeout"]
        made = {**DEFAULTS, **asked, "workers": workers, "gpu": {**GPU, **asked["gpu"]}}
        self._check(made)
        self._made += 1
        made |= {"id": f"e{self._made:012d}", "createdAt": datetime.now(UTC).isoformat()}
        self.endpoints[made["id"]] = made
        return JSONResponse(made, HTTPStatus.CREATED)

    def _update(self, request: Request, asked: Any) -> Response:
        known = self._known(request)
        gpu = dict(known["gpu"])
        if "pools" in asked.get("gpu", {}):
            gpu["excludedTypes"] = []  # pools and exclusions are one selection
        merged = {**known, **asked, "gpu": {**gpu, **asked.get("gpu", {})}}
        merged["workers"] = {**known["workers"], **asked.get("workers", {})}
        self._check(merged)
        known.update(merged)
        return JSONResponse(known)

    def _delete(self, request: Request, asked: Any) -> Response:
        del self.endpoints[self._known(request)["id"]]
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _catalog(self, request: Request, asked: Any) -> Response:
        query = request.query_params
        is_with_stock = query.get("include") == "AVAILABILITY"
        if is_with_stock and query.get("product") not in ("POD", "CLUSTER", "SERVERLESS"):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "include=AVAILABILITY needs product")
        left_out = () if is_with_stock else ("availability",)
        return JSONResponse({"gpus": [{k: v for k, v in one.items() if k not in left_out} for one in self.cards]})

    def _known(self, request: Request) -> dict[str, Any]:
        if request.path_params["id"] not in self.endpoints:
            raise Refused(HTTPStatus.NOT_FOUND, "endpoint not found")
        return self.endpoints[request.path_params["id"]]

    def _check(self, endpoint: dict[str, Any]) -> None:
        """Raise Refused for what the schema cannot say."""
        if endpoint["scaling"]["type"] == "REQUEST_COUNT" and "idleTimeout" in endpoint["workers"]:
            raise Refused(HTTPStatus.BAD_REQUEST, "workers.idleTimeout is not applicable with REQUEST_COUNT")
        if endpoint["workers"]["min"] > endpoint["workers"]["max"]:
            raise Refused(HTTPStatus.BAD_REQUEST, "workers.min must not exceed workers.max")
        pools = endpoint["gpu"]["pools"]
        types = {one["id"]: one["pool"] for one in self.cards if one["pool"]}
        if unknown := [pool for pool in pools if pool not in types.values()]:
            raise Refused(HTTPStatus.BAD_REQUEST, f"unknown GPU pool {unknown[0]}")
        selected = {name for name, pool in types.items() if pool in pools}
        excluded = endpoint["gpu"]["excludedTypes"]
        if stray := [name for name in excluded if name not in selected]:
            raise Refused(HTTPStatus.BAD_REQUEST, f"{stray[0]} is in none of the pools")
        if not selected - set(excluded):
            raise Refused(HTTPStatus.BAD_REQUEST, "no GPU type is left")


def problem(status: int, detail: str, errors: list[str] | None = None) -> JSONResponse:
    """An error as RFC 9457 has it."""
    told = {"title": HTTPStatus(status).phrase, "status": int(status), "detail": detail}
    return JSONResponse(told | ({"errors": errors} if errors else {}), status, media_type=PROBLEM_TYPE)
