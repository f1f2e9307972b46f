"""Keys of results in buckets: made of what is known of a result, and never out of their place."""

from dataclasses import replace

import pytest

from gateway.jobs.model import Job, ResultFile, Task
from gateway.outputs.template import KeyTemplate, is_bucket
from servicekit.errors import InvalidArgument
from tests.support.growth import assert_grows_gently

MP4 = ResultFile("film.mp4", "assets/" + "a" * 26, "video/mp4")
CAPTIONS = ResultFile("captions.srt", "assets/" + "b" * 26, "application/x-subrip")


def job(*items, metadata=(("project", "north"),), **task):
    tasks = tuple(Task(item, asset=MP4.asset, **task) for item in items or ("",))
    return Job("0" * 32, "img2vid", b"", bool(items), tasks, 0.0, metadata=metadata)


def key(template, found, index=0, result=MP4, number=0):
    return KeyTemplate.parse(f"s3://media/{template}").key(found, index, found.kept.index(index), result, number)


def test_a_key_is_made_of_what_is_known_of_a_result():
    found = job("a", "b")
    assert key("{metadata.project}/{item}.mp4", found, 1) == "north/b.mp4"
    assert key("{operation}/{job}/{index}-{name}", found, 1) == f"img2vid/{'0' * 32}/2-film.mp4"
    assert key("clips/{item}.{ext}", found) == "clips/a.mp4"
    assert key("{item}.mp4", job(output_name="my film")) == "my film.mp4"
    assert key("ü {item}", job()) == "ü img2vid"


def test_a_further_result_stands_beside_the_first_unless_the_key_has_its_name():
    found = job(files=(CAPTIONS,), content_type="video/mp4")
    assert key("films/{item}.mp4", found, 0, CAPTIONS, 1) == "films/img2vid-captions.srt"
    assert key("films/{name}", found, 0, CAPTIONS, 1) == "films/captions.srt"


BAD_TEMPLATES = ["", "/a", "a//b", "../a", "a/../b", "a/.", "{", "a}", "{item", "{{item}}", "{nothing}", "{metadata.}"]
BAD_TEMPLATES += ["{metadata.none}", "a\n", "a" * 1025, "{}"]


@pytest.mark.parametrize("template", BAD_TEMPLATES)
def test_what_can_be_no_key_is_refused_when_a_job_is_submitted(template):
    with pytest.raises(InvalidArgument) as refused:
        KeyTemplate.parse(f"s3://media/{template}").check(job())
    assert list(refused.value.fields) == ["output.url"]


@pytest.mark.parametrize("value", ["..", ".", "a/b", "/", "../../b", "a\x00", "a\nb"])
def test_a_value_leads_nowhere_else(value):
    found = job(metadata=(("project", value),))
    with pytest.raises(InvalidArgument):
        KeyTemplate.parse("s3://media/{metadata.project}/{item}").check(found)
    with pytest.raises(InvalidArgument):
        KeyTemplate.parse("s3://media/{item}/a").check(replace(job(value), batch=True))


def test_two_results_have_two_keys():
    KeyTemplate.parse("s3://media/{index}").check(job("a", "b"))
    KeyTemplate.parse("s3://media/{item}").check(job("a", "b"))
    with pytest.raises(InvalidArgument, match="two results"):
        KeyTemplate.parse("s3://media/{job}.mp4").check(job("a", "b"))


def test_names_of_buckets():
    for name in ("media", "my-bucket.example", "a1b", "a" * 63):
        assert is_bucket(name), name
    for name in ("", "a", "Media", "a" * 64, "-ab", "a..b", "a/b", "a b", "bücket", "a.b-"):
        assert not is_bucket(name), name


def test_a_template_is_read_in_time_with_its_length():
    def read(url):
        with pytest.raises(InvalidArgument):
            KeyTemplate.parse(url)

    for start, part in (("s3://media/", "{item"), ("s3://", "a."), ("s3://media/", "{item}}")):
        assert_grows_gently(lambda count, start=start, part=part: start + part * count, read, 5_000)
