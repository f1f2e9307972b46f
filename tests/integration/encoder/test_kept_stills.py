"""Pictures of one still: it is prepared for the first of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import video_pb2
from apigpu.v1.motion_pb2 import Motion
from encoder.config import EncoderSettings
from encoder.media.info import Source
from encoder.tasks.executor import TaskExecutor, Work, open_executor
from encoder.tasks.results import ResultStream
from servicekit import tracing
from servicekit.otel import OtelTracer
from tests.support import media

FIELD = "img2vid.images.image_url"


@pytest.fixture
def count_runs() -> Iterator[Callable[[], int]]:
    """Tells the runs of FFmpeg that tasks have made since it was asked last."""
    exporter = InMemorySpanExporter()
    tracer = OtelTracer("test", "1", SimpleSpanProcessor(exporter))
    tracing.install(tracer)

    def count() -> int:
        found = sum(span.name == "ffmpeg" for span in exporter.get_finished_spans())
        exporter.clear()
        return found

    yield count
    tracing.install(None)
    tracer.close()


async def picture(executor: TaskExecutor, still: bytes, digest: str, *, at: float, zoom: float = 1.3) -> bytes:
    """Return the picture of a still at a time, as PNG."""
    image = video_pb2.Img2VidImage(id="1", image_url="i", duracao=2)
    clip = video_pb2.Img2VidRequest(images=[image], width=320, height=180, motion=Motion(end_zoom=zoom))
    frame = video_pb2.FrameRequest(img2vid=clip, at_seconds=at, format=video_pb2.IMAGE_FORMAT_PNG)
    task, data = encoder_pb2.Task(operation=video_pb2.Operation(frame=frame)), bytearray()

    async def add(part: bytes) -> None:
        data.extend(part)

    async def ignore(_: object) -> None:
        pass

    async with executor.reserve(task) as reservation:
        path = reservation.folder.path / "input0"
        path.write_bytes(still)
        source = Source(FIELD, path, sha256=digest)
        await executor.run(Work(task, {FIELD: source}, reservation, ignore, ResultStream(add, ignore)))
    return bytes(data)


async def test_a_still_is_decoded_for_the_first_of_its_pictures(tmp_path: Path, count_runs: Callable[[], int]) -> None:
    still = media.image(tmp_path / "still.png").read_bytes()
    async with open_executor(EncoderSettings(work_dir=tmp_path / "work", codec="x264")) as executor:
        first = await picture(executor, still, "a", at=0.5)
        assert count_runs() == 2
        assert await picture(executor, still, "a", at=0.5) == first
        assert await picture(executor, still, "a", at=1.5) != first
        assert count_runs() == 2
        assert await picture(executor, still, "b", at=0.5) == first  # of a file that is another one
        assert await picture(executor, still, "a", at=0.5, zoom=3) != first  # of which more is seen
        assert count_runs() == 4
        assert list((tmp_path / "work").glob("task-*")) == []
