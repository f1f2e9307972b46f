"""`python -m encoder.runpod.worker`: a worker of RunPod Serverless, on the loop of RunPod's SDK (extra `[runpod]`).

A job is `{"input": RemoteTask}` as JSON of protobuf; its output is a RemoteResult, or `error` is a RemoteFault as text.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

# Before gRPC is imported: its handlers for fork() run in the child that is to become FFmpeg, and some end it there.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import httpx
import structlog
from google.protobuf import json_format

from apigpu.encoder.v1 import encoder_pb2
from encoder.config import EncoderSettings
from encoder.runpod import transfer
from encoder.runpod.task import RemoteTasks
from encoder.tasks import executor
from servicekit import logs
from servicekit.config import ConfigError
from servicekit.errors import Internal, InvalidArgument, ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("encoder")

PROGRESS_SECONDS = 1.0
# How long an answer waits for word of progress that is still on its way.
SETTLE_SECONDS = 10.0

Job = Mapping[str, Any]
Tell = Callable[[Job, Any], None]


class Progress:
    """Tells RunPod how far a job is, once in PROGRESS_SECONDS at most."""

    def __init__(self, job: Job, tell: Tell) -> None:
        self._job = job
        self._tell = tell
        self._due_at = 0.0
        self._threads: list[threading.Thread] = []

    async def __call__(self, progress: encoder_pb2.EncodeProgress) -> None:
        """Tell of it, if it is time."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + PROGRESS_SECONDS
        before = set(threading.enumerate())
        self._tell(self._job, json_format.MessageToDict(progress))
        # The SDK sends each word from a thread of its own, and has no way to wait for it.
        begun = [thread for thread in threading.enumerate() if thread not in before and thread.daemon]
        self._threads = [thread for thread in [*self._threads, *begun] if thread.is_alive()]

    async def settled(self) -> None:
        """Wait until all is told: RunPod takes a word that comes after the answer for the job's newest state."""
        for thread in self._threads:
            await asyncio.to_thread(thread.join, SETTLE_SECONDS)


class Worker:
    """What the SDK's loop calls. All is made in that loop, and ends with it."""

    def __init__(self, settings: EncoderSettings, tell: Tell) -> None:
        self.exit_code = 0
        self._settings = settings
        self._tell = tell
        self._tasks: asyncio.Future[RemoteTasks] | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._held: list[asyncio.Task[None]] = []

    def concurrency(self, current: int) -> int:
        """Jobs at once. The SDK asks this first of all in its loop, so it is here that the worker begins; and again
        before it asks for jobs, so that none is taken by a worker that turns out to be of no use."""
        return self._settings.batch_size if self._begun().done() else 0

    async def handle(self, job: Job) -> dict[str, Any]:
        """Run a job: its output, or `error`."""
        tasks, own = self._begun(), asyncio.current_task()
        assert own is not None
        self._jobs.add(own)
        try:
            progress = Progress(job, self._tell)
            answer = await self._answer(await asyncio.shield(tasks), job, progress)
            await progress.settled()
            return answer
        finally:
            self._jobs.discard(own)

    async def _answer(self, tasks: RemoteTasks, job: Job, progress: Progress) -> dict[str, Any]:
        started, code = time.monotonic(), "OK"
        with structlog.contextvars.bound_contextvars(job=job["id"]):
            try:
                return json_format.MessageToDict(await tasks.run(parsed(job["input"]), progress))
            except ServiceError as error:
                code = error.code.name
                return {"error": fault(error)}
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception:
                code = "INTERNAL"
                log.exception("unexpected error")
                text = f"Something went wrong inside the encoder; its log has more under job {job['id']}."
                return {"error": fault(Internal(text))}
            finally:
                log.info("job", code=code, milliseconds=round((time.monotonic() - started) * 1000, 1))

    def _begun(self) -> asyncio.Future[RemoteTasks]:
        if self._tasks is None:
            loop = asyncio.get_running_loop()
            self._tasks = loop.create_future()
            self._held.append(loop.create_task(self._open(self._tasks)))
            # The SDK itself would wait for its jobs and for its question for more: longer than RunPod waits.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop, 0)
        return self._tasks

    async def _open(self, tasks: asyncio.Future[RemoteTasks]) -> None:
        """Make what jobs need, and keep it until the loop ends."""
        try:
            async with (
                executor.open_executor(self._settings) as shop,
                httpx.AsyncClient(timeout=transfer.TIMEOUT) as client,
            ):
                log.info("taking jobs", codec=shop.first.codec.name, slots=shop.slots.total)
                tasks.set_result(RemoteTasks(shop, transfer.Links(client)))
                await asyncio.Event().wait()
        except ConfigError as error:
            print(error, file=sys.stderr)
            self._stop(2)
        except Exception:
            log.exception("unexpected error")
            self._stop(1)

    def _stop(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._held.append(asyncio.get_running_loop().create_task(self._end()))

    async def _end(self) -> None:
        """End the jobs, and when they have cleared up, the loop."""
        while self._jobs:
            await cancel_and_wait(*self._jobs)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def parsed(value: Any) -> encoder_pb2.RemoteTask:
    """A job's input. Raises InvalidArgument; without the parser's words, which quote values, and those may be links."""
    try:
        return json_format.ParseDict(value, encoder_pb2.RemoteTask(), ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError, AttributeError, RecursionError):
        raise InvalidArgument("The job's input is not a RemoteTask as JSON.", reason="BAD_TASK") from None


def fault(error: ServiceError) -> str:
    """An error as the text of a RemoteFault."""
    told = encoder_pb2.RemoteFault(
        code=error.number, message=error.message, reason=error.reason, fields=dict(error.fields)
    )
    return json_format.MessageToJson(told, indent=None)


def main() -> int:
    """Take jobs until a signal; the exit code. 2: a setting is wrong, or the SDK is not there."""
    try:
        settings = EncoderSettings.load()
        logs.configure("encoder", settings.log_level, settings.logs_dir)
        import runpod
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"RunPod's SDK cannot be loaded ({error}); install it: pip install '.[runpod]'", file=sys.stderr)
        return 2
    worker = Worker(settings, runpod.serverless.progress_update)
    # The loop ends by being cancelled.
    with contextlib.suppress(asyncio.CancelledError):
        runpod.serverless.start({"handler": worker.handle, "concurrency_modifier": worker.concurrency})
    return worker.exit_code


if __name__ == "__main__":
    sys.exit(main())
