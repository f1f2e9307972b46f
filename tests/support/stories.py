"""Stories as a gateway carries them out: the task that plans, then those that it answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import story_pb2, video_pb2
from tests.support import composing
from tests.support.composing import same
from tests.support.encoder_harness import Client


@dataclass
class Film:
    """A finished story: its file, what the planning answered, and the files and summaries of the tasks, by item."""

    path: Path
    plan: encoder_pb2.Summary
    files: dict[str, Path] = field(default_factory=dict)
    summaries: dict[str, encoder_pb2.Summary] = field(default_factory=dict)

    @property
    def starts(self) -> list[float]:
        """When each scene starts."""
        return [scene.start for scene in self.plan.scenes]

    @property
    def reasons(self) -> list[str]:
        """The reasons of all warnings."""
        told = [self.plan, *self.summaries.values()]
        return [warning.reason for summary in told for warning in summary.warnings]


def scene(picture: Path | None = None, **options: Any) -> dict[str, Any]:
    """A scene of a still, or of a video where the file is one."""
    if picture is None:
        return options
    name = "image_url" if picture.suffix in (".png", ".jpg") else "url_video"
    return {name: picture, **options}


def request_of(scenes: Sequence[Mapping[str, Any]], **options: Any) -> tuple[video_pb2.StoryRequest, dict[str, Path]]:
    """The request of a story whose sources are given as files, and these by their fields."""
    files: dict[str, Path] = {}

    def named(place: str, values: Mapping[str, Any]) -> dict[str, Any]:
        files.update({f"{place}{name}": value for name, value in values.items() if isinstance(value, Path)})
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    made = [story_pb2.Scene(**named(f"scenes[{number}].", values)) for number, values in enumerate(scenes)]
    return video_pb2.StoryRequest(scenes=made, **named("", options)), files


async def plan(client: Client, scenes: Sequence[Mapping[str, Any]], **options: Any) -> encoder_pb2.Summary:
    """What the planning of a story answers."""
    request, files = request_of(scenes, **options)
    done = await client.encode(video_pb2.Operation(story=request), files)
    assert done.summary is not None
    return done.summary


async def film(
    client: Client,
    folder: Path,
    scenes: Sequence[Mapping[str, Any]],
    others: Sequence[Client] = (),
    told: Mapping[str, Any] | None = None,
    composed: Path | None = None,
    **options: Any,
) -> Film:
    """Make a story, its tasks one after the other; where there are `others` its encoders take turns, from the one on
    that plans. `told` is more of the task that plans. The film is put together once more as one that is `composed`."""
    request, files = request_of(scenes, **options)
    task = encoder_pb2.Task(id="plan", operation=video_pb2.Operation(story=request), **(told or {}))
    planned = await client.encode(task, files)
    assert planned.summary is not None
    folder.mkdir(exist_ok=True)
    made = Film(folder / "film.mp4", planned.summary)
    results: list[Path] = []
    summaries: list[encoder_pb2.Summary] = []
    for number, (task, worker) in enumerate(zip(planned.summary.further, cycle((client, *others)), strict=False)):
        inputs: dict[str, Path | bytes] = {}
        for one in task.inputs:
            match one.WhichOneof("source"):
                case "request_field":
                    inputs[one.field] = files[one.request_field]
                case "planned":
                    inputs[one.field] = bytes(planned.data)
                case _:
                    inputs[one.field] = results[one.task]
        path = made.path if task.is_result else folder / f"result{number}.mp4"
        summary = await worker.result(path, encoder_pb2.Task(id=task.item, part=task.part, codec=task.codec), inputs)
        results.append(path)
        made.files[task.item], made.summaries[task.item] = path, summary
        summaries.append(summary)
        if composed is not None and task.composes:
            given = {one.field: results[one.task].read_bytes() for one in task.inputs}
            told_of = {one.field: summaries[one.task] for one in task.inputs}
            assert same(await composing.compose(worker, task.part, given, told_of, composed), summary)
    return made
