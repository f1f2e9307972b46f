"""Names of inputs, and of results after them."""

from typing import Any

import pytest
from google.protobuf import json_format

from apigpu.v1.video_pb2 import Operation
from gateway.jobs import graph, names, operation
from gateway.jobs.model import Job
from tests.support.growth import assert_grows_gently

VIDEO, SUBTITLES, IMAGE = (f"assets/{letter * 26}" for letter in "abc")
FILENAMES = ((VIDEO, "talk.MOV"), (SUBTITLES, "talk.srt"), (IMAGE, "it's  a beach.jpeg"))


def named(**wanted: Any) -> list[str]:
    parsed = json_format.ParseDict(wanted, Operation())
    tasks = names.with_stems(parsed, graph.tasks_of(parsed, 500), dict(FILENAMES))
    kind, is_batch = operation.kind(parsed)[0], operation.is_batch(parsed)
    job = Job("a", kind, graph.request_of(parsed), is_batch, tasks, 1.0, graph=graph.is_graph(parsed))
    return [names.result_name(job, index) for index in range(len(tasks))]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (VIDEO, "talk.MOV"),
        (f"assets/{'z' * 26}", ""),
        ("https://example.com/a/talk.mp4?X-Amz-Signature=abc#x", "talk.mp4"),
        ("https://example.com/a%2F..%2Ftalk%20one.mp4", "talk one.mp4"),
        ("https://example.com/", ""),
        ("https://example.com", ""),
        ("https://[bad/talk.mp4", ""),
        ("https://example.com/%E2%80%AE4pm.mp4", "4pm.mp4"),
    ],
)
def test_an_input_has_the_name_of_its_asset_or_of_its_url(source, name):
    assert names.input_name(source, dict(FILENAMES)) == name


@pytest.mark.parametrize(
    ("filename", "stem"),
    [
        ("talk.mp4", "talk"),
        ("talk.v2.mp4", "talk.v2"),
        ("it's.mp4", "it's"),
        ("-rf.mp4", "rf"),
        (".hidden.mp4", "hidden"),
        ("..", ""),
        (".mp4", "mp4"),
        ('a:b"c|d?e*.mp4', "a_b_c_d_e_"),
        ("C:\\videos\\talk.mp4", "talk"),
        ("../../etc/passwd", "passwd"),
        ("talk .mp4", "talk"),
        ("видео.mp4", "видео"),
        ("é" * 500 + ".mp4", "é" * 60),
    ],
)
def test_a_stem_is_safe_on_any_system(filename, stem):
    assert names.file_stem(filename) == stem


def test_results_are_named_after_their_inputs():
    assert named(caption={"url_video": VIDEO, "url_srt": SUBTITLES}) == ["talk-caption.mp4"]
    assert named(addaudio={"url_video": "https://x.y/v%20one.mp4?sig=1", "url_audio": VIDEO}) == ["v one-addaudio.mp4"]
    assert named(story={"scenes": [{"image_url": IMAGE, "duracao": 1}]}) == ["it's a beach-story.mp4"]
    assert named(concat={"url_videos": [VIDEO, VIDEO]}) == ["talk-concat.mp4"]
    assert named(caption={"url_video": "https://x.y/", "url_srt": SUBTITLES}) == ["caption.mp4"]
    assert named(caption={"url_video": VIDEO, "url_srt": SUBTITLES, "output_filename": "mine.mp4"}) == ["mine.mp4"]


def test_clips_of_one_name_have_numbers_and_those_without_their_ids():
    images = [IMAGE, "https://x.y/a.jpg", "https://x.y/A.png", "https://x.y/", "https://x.y/b.jpg"]
    wanted = [{"id": f"id{number}", "image_url": source, "duracao": 1} for number, source in enumerate(images)]
    assert named(img2vid={"images": wanted}) == [
        "it's a beach-img2vid.mp4",
        "a-img2vid-2.mp4",
        "A-img2vid-3.mp4",
        "id3.mp4",
        "b-img2vid.mp4",
    ]
    assert named(img2vid={"url_image": IMAGE}) == ["it's a beach-img2vid.mp4"]


def test_results_of_steps_are_named_after_what_they_began_with():
    steps = [
        {"id": "talk", "caption": {"url_video": "step:all", "url_srt": SUBTITLES}},
        {"id": "all", "concat": {"url_videos": ["step:clips", VIDEO]}},
        {"id": "clips", "img2vid": {"images": [{"id": "x", "image_url": IMAGE, "duracao": 1}]}},
    ]
    assert named(chain={"steps": steps}) == ["it's a beach-talk.mp4", "it's a beach-all.mp4", "it's a beach-clips.mp4"]


def test_names_of_a_long_chain_take_time_in_step_with_it():
    def made(count: int) -> tuple[Operation, Any]:
        steps = [{"id": f"s{n}", "caption": {"url_video": f"step:s{n + 1}", "url_srt": VIDEO}} for n in range(count)]
        steps[-1]["caption"]["url_video"] = VIDEO
        parsed = json_format.ParseDict({"chain": {"steps": steps}}, Operation())
        return parsed, graph.tasks_of(parsed, count)

    def work(chained: tuple[Operation, Any]) -> None:
        assert names.with_stems(*chained, dict(FILENAMES))[0].stem == "talk-s0"

    assert_grows_gently(made, work, 50)
