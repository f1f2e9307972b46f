"""Tasks as the encoder does them, without a gateway: through its executor, its sandbox and its codec."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.tasks.executor import TaskExecutor, Work, open_executor
from encoder.tasks.results import ResultStream
from tools.gpu_check.media import CUES
from tools.samples import ffmpeg

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="video", url_srt="cues", encode_all=True))


def still(seconds: float, width: int, height: int) -> video_pb2.Operation:
    """Return the operation that makes a clip of a still."""
    return video_pb2.Operation(
        img2vid=video_pb2.Img2VidRequest(url_image="image", duration=seconds, width=width, height=height)
    )


@contextlib.asynccontextmanager
async def encoder(folder: Path, **settings: Any) -> AsyncIterator[TaskExecutor]:
    """Open an encoder on the card, with these of its settings. Raises ConfigError where the card cannot be used."""
    values = {"codec": "nvenc", "work_dir": folder / "work", "logs_dir": folder / "logs", **settings}
    async with open_executor(EncoderSettings.load(**values)) as executor:
        yield executor


async def do(
    executor: TaskExecutor, operation: video_pb2.Operation, inputs: Mapping[str, Path], result: Path | None = None
) -> encoder_pb2.Summary:
    """Do a task; keep its result, where a path is given for it. Raises ServiceError."""
    items = [encoder_pb2.Input(field=name, size_bytes=path.stat().st_size) for name, path in inputs.items()]
    task = encoder_pb2.Task(id="check", operation=operation, inputs=items)
    async with executor.reserve(task) as reservation:
        sources = {}
        for number, (name, path) in enumerate(inputs.items()):
            copied = shutil.copy(path, reservation.folder.path / f"input{number}")
            sources[name] = Source(name, Path(copied))
        stream = ResultStream(_discard, _discard, is_live=False)
        summary = await executor.run(Work(task, sources, reservation, _discard, stream))
        if result is not None:
            shutil.copy(reservation.folder.result, result)
        return summary


async def caption(executor: TaskExecutor, video: Path, result: Path | None = None) -> encoder_pb2.Summary:
    """Draw captions into a video."""
    cues = video.with_suffix(".srt")
    cues.write_text(CUES)
    return await do(executor, CAPTION, {"url_video": video, "url_srt": cues}, result)


def make_still(path: Path) -> Path:
    """Make a picture to make clips of."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x360", "-frames:v", "1", "-c:v", "png", str(path))
    return path


async def _discard(*_: object) -> None:
    pass
