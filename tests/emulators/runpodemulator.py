"""RunPod Serverless, emulated in process on a real socket: the clients' API, the workers' and the management's.

    async with runpodemulator.running() as runpod:
        runpod.api_url           # …/v2, for RUNPOD_ENDPOINT_BASE_URL and our own client
        runpod.rest_url          # …/management/v2, for RUNPOD_REST_URL
        runpod.key, runpod.endpoint_id
        runpod.rules             # times and limits, to be set lower: runpodjobs.Rules
        runpod.faults            # what goes wrong from now on: Faults
        runpod.queue.jobs        # the jobs, by id
        runpod.requests          # what clients called: Counter of operations
        runpod.worker_environment("worker-1")   # for the SDK's worker loop in a child process
        async with runpod.worker(handler): …    # a worker in this process: async handler(input, report) -> output
        runpod.queue.lose("worker-1")           # a worker dies, and RunPod notices
        async with runpod.refusing(): …         # nobody listens
        runpod.autoscale(launch)                # workers are started and ended as RunPod does it

Shapes, states and limits are those of RunPod's documentation and of its SDK (runpod-python 1.12).
"""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.emulators.runpodjobs import FINAL, Job, Queue, Rules
from tests.emulators.runpodmanagement import Management, problem

RATE_SECONDS = 10.0
EVERY = frozenset({"run", "runsync", "status", "stream", "cancel", "health", "purge-queue", "retry", "management"})
Handler = Callable[[Any, Callable[[Any], None]], Awaitable[Any]]
Launch = Callable[[str], contextlib.AbstractAsyncContextManager[Any]]


@dataclass
class Faults:
    """What goes wrong, until it is taken back."""

    # Operations that are answered 429; EVERY for all.
    storm: frozenset[str] = frozenset()
    # Clients and management are answered 503.
    is_down: bool = False
    # The next so many jobs are made, and the connection is dropped before the answer.
    lost_runs: int = 0
    # The answer that names a new run comes so much later.
    run_answer_delay_seconds: float = 0.0
    # Every call of a client is heard so much later.
    delay_seconds: float = 0.0
    # A worker's word of its progress takes so long to arrive.
    progress_delay_seconds: float = 0.0


@dataclass
class Limits:
    """What clients may do. The defaults are RunPod's."""

    run_bytes: int = 10 * 1024 * 1024
    runsync_bytes: int = 20 * 1024 * 1024
    # Calls in 10 seconds.
    rates: dict[str, int] = field(
        default_factory=lambda: {
            "run": 1000,
            "runsync": 2000,
            "status": 2000,
            "stream": 2000,
            "cancel": 100,
            "purge-queue": 2,
        }
    )


class Failed(Exception):
    """A call is refused."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = JSONResponse({"error": text, "status": status}, status)


class Protocol(HttpToolsProtocol):
    """HTTP whose handlers can drop the connection: the transport is in the scope."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["transport"] = self.transport  # type: ignore[typeddict-unknown-key]


class Server(uvicorn.Server):
    """uvicorn that leaves signals to the process."""

    def __init__(self, app: Any, port: int = 0) -> None:
        super().__init__(
            uvicorn.Config(app, http=Protocol, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=0)
        )
        self._port = port
        self._serving: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def start(self) -> int:
        """Listen on loopback; the port."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self._port))
        self._serving = asyncio.create_task(self.serve(sockets=[listening]))
        while not self.started:
            await asyncio.sleep(0.005)
        return int(listening.getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and drop open connections."""
        assert self._serving is not None
        for connection in list(self.server_state.connections):
            if connection.transport is not None:  # type: ignore[union-attr]
                connection.transport.abort()  # type: ignore[union-attr]
        self.should_exit = True
        await self._serving


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an application on a free port; its URL."""
    server = Server(app)
    port = await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop()


class RunPod:
    """One account with one endpoint."""

    def __init__(self, key: str = "rpa_TEST", endpoint_id: str = "ep0emulated") -> None:
        self.key, self.worker_key, self.endpoint_id = key, "worker-key", endpoint_id
        self.rules, self.limits, self.faults = Rules(), Limits(), Faults()
        self.queue = Queue(self.rules)
        self.management = Management()
        self.requests: Counter[str] = Counter()
        self.pings: Counter[str] = Counter()
        self.port = 0
        self._calls: dict[str, deque[float]] = {}
        self._server: Server | None = None
        self._scaling: asyncio.Task[None] | None = None
        self._app = self._routed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/v2"

    @property
    def rest_url(self) -> str:
        return f"{self.url}/management/v2"

    def worker_environment(self, worker_id: str) -> dict[str, str]:
        """What RunPod sets in a worker's container."""
        base, query = f"{self.api_url}/{self.endpoint_id}", "?gpu=emulated"
        return {
            "RUNPOD_POD_ID": worker_id,
            "RUNPOD_ENDPOINT_ID": self.endpoint_id,
            "RUNPOD_AI_API_KEY": self.worker_key,
            "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID{query}",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID{query}",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID{query}",
            "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID{query}",
            "RUNPOD_PING_INTERVAL": "1000",
        }

    @contextlib.asynccontextmanager
    async def worker(self, handler: Handler, worker_id: str = "worker-1", slots: int = 1) -> AsyncIterator[str]:
        """A worker in this process; it vanishes at the end, as one that is killed does."""

        async def one() -> None:
            while True:
                for job in await self.queue.take(worker_id, 1, _never):
                    await self._work(job, worker_id, handler)

        tasks = [asyncio.create_task(one()) for _ in range(slots)]
        try:
            yield worker_id
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.queue.lose(worker_id)

    async def _work(self, job: Job, worker_id: str, handler: Handler) -> None:
        def report(progress: Any) -> None:
            self.queue.done(worker_id, job.id, {"status": "IN_PROGRESS", "output": progress})

        working = asyncio.ensure_future(handler(job.input, report))
        try:
            while not working.done():
                await asyncio.wait([working], timeout=0.01)
                if job.id in self.queue.seen(worker_id).stops:
                    self.queue.seen(worker_id).stops.remove(job.id)
                    return
            body = {"error": str(working.exception())} if working.exception() else {"output": working.result()}
            self.queue.done(worker_id, job.id, body)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    def autoscale(self, launch: Launch, idle_seconds: float = 5.0) -> None:
        """From now on jobs that wait start workers, `rules.workers_max` at most: `launch(worker_id)` is held open for
        as long as the worker is wanted. One that has no job for `idle_seconds` is ended."""
        self._scaling = asyncio.create_task(self._scale(launch, idle_seconds))

    async def _scale(self, launch: Launch, idle_seconds: float) -> None:
        running: dict[str, contextlib.AsyncExitStack] = {}
        names = (f"worker-{number}" for number in count(1))
        try:
            while True:
                await asyncio.sleep(0.02)
                self.queue.settle()
                waiting = sum(job.state == "IN_QUEUE" for job in self.queue.jobs.values())
                free = sum(not self.queue.held_by(name) for name in running)
                if waiting > free and len(running) < self.rules.workers_max:
                    name, stack = next(names), contextlib.AsyncExitStack()
                    running[name] = stack
                    self.queue.seen(name)
                    await stack.enter_async_context(launch(name))
                for name in list(running):
                    known = self.queue.workers.get(name)
                    idle = known and time.monotonic() > known.idle_since + idle_seconds and not waiting
                    if known is None or (idle and not self.queue.held_by(name)):
                        await running.pop(name).aclose()
                        self.queue.lose(name)
        finally:
            for stack in running.values():
                await stack.aclose()

    async def start(self) -> None:
        """Listen, on the port of the last time where there was one."""
        self._server = Server(self._app, self.port)
        self.port = await self._server.start()

    async def stop(self) -> None:
        """Listen no more; open connections are dropped."""
        assert self._server is not None
        await self._server.stop()

    async def close(self) -> None:
        """End what was started."""
        if self._scaling is not None:
            self._scaling.cancel()
            await asyncio.gather(self._scaling, return_exceptions=True)
        await self.stop()

    @contextlib.asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Connections are refused in the block."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()

    def _routed(self) -> Starlette:
        def client(operation: str, handler: Any, method: str, path: str = "") -> Route:
            async def guarded(request: Request) -> Response:
                try:
                    await self._guard(request, operation)
                    return await handler(request)
                except Failed as error:
                    return error.answer

            return Route(f"/{{endpoint}}/{operation}{path}", guarded, methods=[method])

        jobs = [
            client("run", self._run, "POST"),
            client("runsync", self._runsync, "POST"),
            client("status", self._status, "GET", "/{job}"),
            client("status", self._status, "POST", "/{job}"),
            client("stream", self._stream, "GET", "/{job}"),
            client("cancel", self._cancel, "POST", "/{job}"),
            client("retry", self._retry, "POST", "/{job}"),
            client("health", self._health, "GET"),
            client("purge-queue", self._purge, "POST"),
        ]
        workers = [
            Route("/{endpoint}/job-take/{worker}", self._take),
            Route("/{endpoint}/job-take-batch/{worker}", self._take),
            Route("/{endpoint}/job-stop/{worker}", self._stops),
            Route("/{endpoint}/job-done/{worker}/{job}", self._done, methods=["POST"]),
            Route("/{endpoint}/job-stream/{worker}/{job}", self._streamed, methods=["POST"]),
            Route("/{endpoint}/ping/{worker}", self._ping),
        ]
        management = self.management.app()

        async def managed(scope: Any, receive: Any, send: Any) -> None:
            try:
                await self._guard(Request(scope, receive), "management")
            except Failed as error:
                await problem(error.answer.status_code, str(error))(scope, receive, send)
            else:
                await management(scope, receive, send)

        return Starlette(routes=[Mount("/v2", routes=[*jobs, *workers]), Mount("/management/v2", managed)])

    async def _guard(self, request: Request, operation: str) -> None:
        """Raise Failed for what no handler is to see."""
        self.requests[operation] += 1
        if self.faults.delay_seconds:
            await asyncio.sleep(self.faults.delay_seconds)
        if self.faults.is_down:
            raise Failed(503, "Service Unavailable")
        if request.headers.get("authorization", "").removeprefix("Bearer ") != self.key:
            raise Failed(401, "Unauthorized")
        if request.path_params.get("endpoint", self.endpoint_id) != self.endpoint_id:
            raise Failed(404, "endpoint not found")
        if operation in self.faults.storm or not self._within_rate(operation):
            raise Failed(429, "Too Many Requests")

    def _within_rate(self, operation: str) -> bool:
        now, calls = time.monotonic(), self._calls.setdefault(operation, deque())
        while calls and calls[0] < now - RATE_SECONDS:
            calls.popleft()
        if len(calls) >= self.limits.rates.get(operation, 1_000_000):
            return False
        calls.append(now)
        return True

    async def _submitted(self, request: Request, most_bytes: int, *, is_sync: bool) -> Job:
        body = await request.body()
        if len(body) > most_bytes:
            raise Failed(400, f"exceeded max body size of {most_bytes // 1024**2}MiB")
        waiting = sum(job.state == "IN_QUEUE" for job in self.queue.jobs.values())
        if waiting > max(50, self.rules.workers_max * 500):
            raise Failed(429, "Too Many Requests")
        try:
            return self.queue.submit(json.loads(body), is_sync=is_sync)
        except (ValueError, TypeError) as error:
            raise Failed(400, str(error)) from error

    async def _run(self, request: Request) -> Response:
        job = await self._submitted(request, self.limits.run_bytes, is_sync=False)
        if self.faults.lost_runs:
            self.faults.lost_runs -= 1
            request.scope["transport"].abort()
        await asyncio.sleep(self.faults.run_answer_delay_seconds)
        return JSONResponse(job.view())

    async def _runsync(self, request: Request) -> Response:
        job = await self._submitted(request, self.limits.runsync_bytes, is_sync=True)
        end = time.monotonic() + float(request.query_params.get("wait", 90_000)) / 1000
        while job.state not in FINAL and time.monotonic() < end and not await request.is_disconnected():
            self.queue.settle()
            await asyncio.sleep(0.01)
        return JSONResponse(job.view())

    async def _status(self, request: Request) -> Response:
        return JSONResponse(self._job(request).view())

    async def _stream(self, request: Request) -> Response:
        job = self._job(request)
        chunks, job.stream = job.stream, []
        return JSONResponse({"status": job.state, "stream": [{"output": chunk} for chunk in chunks]})

    async def _cancel(self, request: Request) -> Response:
        job = self._job(request)
        self.queue.cancel(job)
        return JSONResponse({"id": job.id, "status": job.state})

    async def _retry(self, request: Request) -> Response:
        job = self._job(request)
        if not self.queue.retry(job):
            raise Failed(400, f"job is {job.state}")
        return JSONResponse({"id": job.id, "status": job.state})

    async def _health(self, request: Request) -> Response:
        return JSONResponse(self.queue.health())

    async def _purge(self, request: Request) -> Response:
        return JSONResponse({"removed": self.queue.purge(), "status": "completed"})

    def _job(self, request: Request) -> Job:
        job = self.queue.find(request.path_params["job"])
        if job is None:
            raise Failed(404, "job not found")
        return job

    async def _take(self, request: Request) -> Response:
        if not self._is_worker(request):
            return Response(status_code=401)
        most = int(request.query_params.get("batch_size", 1))
        jobs = await self.queue.take(request.path_params["worker"], most, request.is_disconnected)
        if not jobs:
            return Response(status_code=204)
        told = [{"id": job.id, "input": job.input, "retries": job.retries} for job in jobs]
        return JSONResponse(told if "batch_size" in request.query_params else told[0])

    async def _stops(self, request: Request) -> Response:
        if not self._is_worker(request):
            return Response(status_code=401)
        found = await self.queue.stops(request.path_params["worker"], request.is_disconnected)
        return JSONResponse({"jobsToStop": found}) if found else Response(status_code=204)

    async def _done(self, request: Request) -> Response:
        if not self._is_worker(request):
            return Response(status_code=401)
        body = json.loads(await request.body())
        if body.get("status") == "IN_PROGRESS":
            await asyncio.sleep(self.faults.progress_delay_seconds)
        self.queue.done(request.path_params["worker"], request.path_params["job"], body)
        return JSONResponse({})

    async def _streamed(self, request: Request) -> Response:
        job = self.queue.find(request.path_params["job"])
        if self._is_worker(request) and job is not None:
            job.stream.append(json.loads(await request.body()).get("output"))
        return JSONResponse({})

    async def _ping(self, request: Request) -> Response:
        if not self._is_worker(request):
            return Response(status_code=401)
        self.queue.seen(request.path_params["worker"])
        self.pings[request.path_params["worker"]] += 1
        return JSONResponse({})

    def _is_worker(self, request: Request) -> bool:
        return request.headers.get("authorization") == self.worker_key


async def _never() -> bool:
    return False


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[RunPod]:
    """An account with one endpoint, on a free port."""
    runpod = RunPod()
    await runpod.start()
    try:
        yield runpod
    finally:
        await runpod.close()
