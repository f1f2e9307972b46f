"""Names of results on the command line: by the input, the operation and the format; the format by the name."""

from pathlib import Path

import pytest
import typer

from api_gpu.cli.run import named_after, with_format


@pytest.mark.parametrize(
    ("options", "name"),
    [({}, "a-thumbnail.jpg"), ({"format": "png"}, "a-thumbnail.png"), ({"format": "jpeg"}, "a-thumbnail.jpg")],
)
def test_a_result_is_named_after_its_input(options, name):
    assert named_after("films/a.mov", "thumbnail", options) == Path(name)


@pytest.mark.parametrize(
    ("out", "form"), [("x.png", "png"), ("x.PNG", "png"), ("x.jpg", "jpeg"), ("x.jpeg", "jpeg"), ("x.webp", "webp")]
)
def test_the_ending_of_the_output_asks_for_a_format(out, form):
    assert with_format({"width": 64}, "thumbnail", Path(out)) == {"width": 64, "format": form}


@pytest.mark.parametrize(
    ("operation", "out"), [("thumbnail", None), ("thumbnail", Path("x.data")), ("caption", Path("x.png"))]
)
def test_another_ending_asks_for_none(operation, out):
    assert with_format({}, operation, out) == {}


def test_an_ending_that_contradicts_the_format_is_refused():
    with pytest.raises(typer.BadParameter, match=r"--format webp does not go with the ending of x\.png"):
        with_format({"format": "webp"}, "thumbnail", Path("x.png"))
