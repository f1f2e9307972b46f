"""What a record keeps of the files of a job, and what is told of them."""

from dataclasses import replace

import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import probe_pb2, video_pb2
from gateway.jobs import media_facts, model
from gateway.jobs.model import Job, Result, Task

FILM = probe_pb2.MediaFacts(
    field="url_video", codec="h264", width=1920, height=1080, duration=60.0, size_bytes=59529559
)
SUMMARY = encoder_pb2.Summary(width=1280, height=720, inputs=[FILM])


def job(count: int = 1, *, batch: bool = False) -> Job:
    images = [video_pb2.Img2VidImage(id=str(n), image_url=f"http://x/{n}.png", duracao=1) for n in range(count)]
    message = video_pb2.Operation(img2vid=video_pb2.Img2VidRequest(images=images))
    if not batch:
        message = video_pb2.Operation(
            caption=video_pb2.CaptionRequest(url_video="http://x/a.mp4", url_srt="http://x/b")
        )
    tasks = tuple(Task(str(n)) for n in range(count))
    return Job("0" * 32, "img2vid" if batch else "caption", message.SerializeToString(), batch, tasks, 0.0)


def completed(found: Job, index: int = 0, summary: encoder_pb2.Summary = SUMMARY) -> Job:
    result = Result("assets/x", 25, "x264", duration_seconds=60.0, size_bytes=9, facts=media_facts.stored(summary))
    return model.complete_task(found, index, result, 1.0)


def test_a_record_keeps_little_of_a_film() -> None:
    done = completed(job())
    assert len(done.tasks[0].facts) <= 48
    assert media_facts.input_facts(done) == [FILM]
    assert media_facts.result_facts(done) == [
        probe_pb2.MediaFacts(codec="x264", width=1280, height=720, duration=60.0, size_bytes=9)
    ]


def test_nothing_is_told_before_it_is_known() -> None:
    assert (media_facts.input_facts(job()), media_facts.result_facts(job())) == ([], [])


@pytest.mark.parametrize(("count", "is_kept"), [(model.MAX_FACTS_TASKS, True), (model.MAX_FACTS_TASKS + 1, False)])
def test_long_batches_keep_nothing(count: int, is_kept: bool) -> None:
    still = probe_pb2.MediaFacts(field="images.image_url", codec="png", width=9, height=9)
    done = completed(job(count, batch=True), 2, encoder_pb2.Summary(inputs=[still]))
    assert [found.field for found in media_facts.input_facts(done)] == (["images[2].image_url"] if is_kept else [])


def test_of_pieces_nothing_is_kept_but_of_the_one_that_is_the_result() -> None:
    planned = replace(job(), graph=True, tasks=(Task(answer=2), Task(planner=0), Task(planner=0)))
    done = completed(completed(planned, 1), 2)
    assert [bool(task.facts) for task in done.tasks] == [False, False, True]


def test_an_encoder_can_make_no_record_long() -> None:
    inputs = [probe_pb2.MediaFacts(field="x" * size) for size in (1, 201, *[2] * 50)]
    kept = encoder_pb2.Summary.FromString(media_facts.stored(encoder_pb2.Summary(inputs=inputs)))
    assert [len(found.field) for found in kept.inputs] == [1, *[2] * 23]
