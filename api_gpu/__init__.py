"""The Python client of api-gpu, and its command line `api-gpu`.

with Client.local() as client:
    job = client.caption("talk.mp4", "talk.srt", style=CaptionStyle(preset="bold"))
    client.download(job.wait(), Path("captioned.mp4"))

Every error of the client is a subclass of `errors.ServiceError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api_gpu.aio import AsyncClient, AsyncJob
    from api_gpu.assets import Asset
    from api_gpu.attempts import JobAttempt, JobLog
    from api_gpu.client import Client, Health
    from api_gpu.fleet import DayCosts, Fleet, Machine, PooledEncoder
    from api_gpu.jobs import Event, Job
    from api_gpu.outcomes import (
        Clip,
        Finished,
        JobInput,
        MediaFacts,
        Preview,
        Progress,
        Queued,
        ResultFile,
        SceneSpan,
        WaitTimeout,
    )
    from apigpu.options import CaptionStyle, Motion, Scene, Soundtrack, Source, Sprites, Status, Still, Transition, Word
    from servicekit import errors

__all__ = [
    "Asset",
    "AsyncClient",
    "AsyncJob",
    "CaptionStyle",
    "Client",
    "Clip",
    "DayCosts",
    "Event",
    "Finished",
    "Fleet",
    "Health",
    "Job",
    "JobAttempt",
    "JobInput",
    "JobLog",
    "Machine",
    "MediaFacts",
    "Motion",
    "PooledEncoder",
    "Preview",
    "Progress",
    "Queued",
    "ResultFile",
    "Scene",
    "SceneSpan",
    "Soundtrack",
    "Source",
    "Sprites",
    "Status",
    "Still",
    "Transition",
    "WaitTimeout",
    "Word",
    "errors",
]

# Loaded when they are asked for, as the command line's help needs none of them, and gRPC takes a while to load.
MODULES = {
    "api_gpu.assets": ("Asset",),
    "api_gpu.attempts": ("JobAttempt", "JobLog"),
    "api_gpu.client": ("Client", "Health"),
    "api_gpu.fleet": ("DayCosts", "Fleet", "Machine", "PooledEncoder"),
    "api_gpu.aio": ("AsyncClient", "AsyncJob"),
    "api_gpu.jobs": ("Event", "Job"),
    "api_gpu.outcomes": (
        "Clip",
        "Finished",
        "JobInput",
        "MediaFacts",
        "Preview",
        "Progress",
        "Queued",
        "ResultFile",
        "SceneSpan",
        "WaitTimeout",
    ),
    "apigpu.options": (
        "CaptionStyle",
        "Motion",
        "Scene",
        "Soundtrack",
        "Source",
        "Sprites",
        "Status",
        "Still",
        "Transition",
        "Word",
    ),
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("servicekit.errors")
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
