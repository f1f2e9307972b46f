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
from encoder.runpod.task import TIMEOUT, Links, RemoteTasks
from encoder.tasks.capabilities import VERSION
from encoder.tasks.executor import open_executor
from servicekit import log_context, logs, tracing
from servicekit.config import ConfigError
from servicekit.errors import Internal, InvalidArgument, ServiceError
from servicekit.tasks import cancel_and_wait

log = structlog.get_logger("encoder")

PROGRESS_SECONDS = 1.0
# How long a result waits for progress that is still on its way.
SETTLE_SECONDS = 10.0

Job = Mapping[str, Any]
SendProgress = Callable[[Job, Any], None]


class ProgressReporter:
    """Reports the progress of a job to RunPod, once in PROGRESS_SECONDS at most."""

    def __init__(self, job: Job, send: SendProgress) -> None:
        self._job = job
        self._send = send
        self._due_at = 0.0
        self._threads: list[threading.Thread] = []

    async def __call__(self, progress: encoder_pb2.EncodeProgress) -> None:
        """Report it, if it is time."""
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + PROGRESS_SECONDS
        before = set(threading.enumerate())
        self._send(self._job, json_format.MessageToDict(progress))
        # The SDK sends each report from a thread of its own, and has no way to wait for it.
        started = [thread for thread in threading.enumerate() if thread not in before and thread.daemon]
        self._threads = [thread for thread in [*self._threads, *started] if thread.is_alive()]

    async def flush(self) -> None:
        """Wait until all is sent: RunPod takes a report that comes after the result for the job's newest state."""
        for thread in self._threads:
            await asyncio.to_thread(thread.join, SETTLE_SECONDS)


class RunpodWorker:
    """The handler of the SDK's loop. All is made in that loop, and ends with it."""

    def __init__(self, settings: EncoderSettings, send: SendProgress) -> None:
        self.exit_code = 0
        self._settings = settings
        self._send = send
        self._tasks: asyncio.Future[RemoteTasks] | None = None
        self._jobs: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[None]] = []

    def concurrency(self, current: int) -> int:
        """Return the number of jobs at once. The SDK asks this first of all in its loop, so it is here that the worker
        begins; and again before it asks for jobs, so that none is taken by a worker that turns out to be of no use."""
        return self._settings.batch_size if self._begin().done() else 0

    async def handle(self, job: Job) -> dict[str, Any]:
        """Run a job; return its output, or `error`."""
        tasks, own = self._begin(), asyncio.current_task()
        assert own is not None
        self._jobs.add(own)
        try:
            progress = ProgressReporter(job, self._send)
            output = await self._run(await asyncio.shield(tasks), job, progress)
            await progress.flush()
            return output
        finally:
            self._jobs.discard(own)

    async def _run(self, tasks: RemoteTasks, job: Job, progress: ProgressReporter) -> dict[str, Any]:
        started, code = time.monotonic(), "OK"
        with log_context.about(run=job["id"]):
            try:
                remote = parse_task(job["input"])
                with tracing.border("RemoteTask", remote.task.traceparent):
                    return json_format.MessageToDict(await tasks.run(remote, progress))
            except ServiceError as error:
                code = error.code.name
                return {"error": to_fault(error)}
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except Exception:
                code = "INTERNAL"
                log.exception("unexpected error")
                text = f"Something went wrong inside the encoder; its log has more under run {job['id']}."
                return {"error": to_fault(Internal(text))}
            finally:
                log.info("run", code=code, milliseconds=round((time.monotonic() - started) * 1000, 1))

    def _begin(self) -> asyncio.Future[RemoteTasks]:
        if self._tasks is None:
            loop = asyncio.get_running_loop()
            self._tasks = loop.create_future()
            self._background.append(loop.create_task(self._open(self._tasks)))
            # The SDK itself would wait for its jobs and for its question for more: longer than RunPod waits.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop, 0)
        return self._tasks

    async def _open(self, tasks: asyncio.Future[RemoteTasks]) -> None:
        """Open what jobs need, until the loop ends."""
        try:
            async with (
                open_executor(self._settings) as executor,
                httpx.AsyncClient(timeout=TIMEOUT) as client,
            ):
                log.info("taking jobs", codec=executor.codecs[0].codec.name, slots=executor.slots.total)
                tasks.set_result(RemoteTasks(executor, Links(client)))
                await asyncio.Event().wait()
        except ConfigError as error:
            print(error, file=sys.stderr)
            self._stop(2)
        except Exception:
            log.exception("unexpected error")
            self._stop(1)

    def _stop(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._background.append(asyncio.get_running_loop().create_task(self._end()))

    async def _end(self) -> None:
        """Cancel the jobs, and when they have cleaned up, the loop."""
        while self._jobs:
            await cancel_and_wait(*self._jobs)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def parse_task(value: Any) -> encoder_pb2.RemoteTask:
    """Return the task of a job's input. Raises InvalidArgument; without the parser's words, which quote values, and
    those may be links."""
    try:
        return json_format.ParseDict(value, encoder_pb2.RemoteTask(), ignore_unknown_fields=True)
    except (json_format.ParseError, TypeError, AttributeError, RecursionError):
        raise InvalidArgument("The job's input is not a RemoteTask as JSON.", reason="BAD_TASK") from None


def to_fault(error: ServiceError) -> str:
    """Return an error as the text of a RemoteFault."""
    message = encoder_pb2.RemoteFault(
        code=error.number, message=error.message, reason=error.reason, fields=dict(error.fields)
    )
    return json_format.MessageToJson(message, indent=None)


def main() -> int:
    """Take jobs until a signal; return the exit code. 2: a setting is wrong, or the SDK is not there."""
    try:
        settings = EncoderSettings.load()
        logs.configure("encoder", settings.log_level, settings.logs_dir, settings.log_format)
        import runpod
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"RunPod's SDK cannot be loaded ({error}); install it: pip install '.[runpod]'", file=sys.stderr)
        return 2
    worker = RunpodWorker(settings, runpod.serverless.progress_update)
    # The loop ends by being cancelled.
    with tracing.configured("encoder", VERSION), contextlib.suppress(asyncio.CancelledError):
        runpod.serverless.start({"handler": worker.handle, "concurrency_modifier": worker.concurrency})
    return worker.exit_code


if __name__ == "__main__":
    sys.exit(main())
