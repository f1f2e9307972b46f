"""A gateway's links on a real socket, and nothing else of a gateway: inputs to read, results to write."""

import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from tests.emulators.runpodemulator import serving

SECRET = "SIGNATURE-THAT-NO-LOG-MAY-SHOW"


@dataclass
class LinkServer:
    """`inputs` maps names to bytes or to an answer; `answers` are given to PUT before it is taken."""

    url: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    answers: list[int | str] = field(default_factory=list)
    results: dict[str, bytes] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    puts: list[dict[str, str]] = field(default_factory=list)
    asked: int = 0

    def task(self, name: str, operation: video_pb2.Operation, **sources: Path | bytes | Response) -> Any:
        """A RemoteTask whose result comes to `results[name]`."""
        links = []
        for number, (_, source) in enumerate(sources.items()):
            self.inputs[f"{name}-{number}"] = source.read_bytes() if isinstance(source, Path) else source
            links.append(f"{self.url}/inputs/{name}-{number}?signature={SECRET}")
        return encoder_pb2.RemoteTask(
            task=encoder_pb2.Task(
                id=name, operation=operation, inputs=[encoder_pb2.Input(field=one) for one in sources]
            ),
            input_urls=links,
            result_url=f"{self.url}/results/{name}?signature={SECRET}",
        )

    async def read(self, request: Request) -> Response:
        found = self.inputs[request.path_params["name"]]
        return found if isinstance(found, Response) else Response(found)

    async def result(self, request: Request) -> Response:
        name = request.path_params["name"]
        if request.method == "HEAD":
            self.asked += 1
            return Response(status_code=410 if name in self.over else 204)
        self.puts.append(dict(request.headers))
        answer = self.answers.pop(0) if self.answers else 204
        if answer == "drop":
            request.scope["transport"].abort()
            return Response()
        if answer != 204:
            return Response(status_code=answer, headers={"Location": f"{self.url}/results/elsewhere"})
        data = await request.body()
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        assert request.headers["content-digest"] == f"sha-256=:{digest}:"
        assert request.headers["content-length"] == str(len(data))
        self.results[name] = data
        return Response(status_code=204)


def status(code: int, message: str, reason: str, http: int, **fields: str) -> JSONResponse:
    """An error as the gateway's JSON has it."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "api-gpu"}
    violations = [{"field": name, "description": text} for name, text in fields.items()]
    bad = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    return JSONResponse({"title": "Bad", "code": code, "message": message, "details": [info, bad]}, http)


def broken_off() -> Response:
    """A body that ends before it is whole."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    return StreamingResponse(parts(), headers={"Content-Length": "1000"})


def unannounced(size_bytes: int) -> Response:
    """A body whose length is not told."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(size_bytes // 1000):
            yield bytes(1000)

    return StreamingResponse(parts())


@contextlib.asynccontextmanager
async def links() -> AsyncIterator[LinkServer]:
    """The server, on a free port."""
    server = LinkServer()
    routes = [
        Route("/inputs/{name}", server.read),
        Route("/results/{name}", server.result, methods=["HEAD", "PUT"]),
    ]
    async with serving(Starlette(routes=routes)) as server.url:
        yield server
