"""What the error of somebody else's API says, as RFC 9457 has it or plain."""

import json

import pytest

from servicekit.problems import MAX_CHARACTERS, problem_text, retired


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (json.dumps({"title": "Not Found", "status": 404, "detail": "endpoint not found"}), "endpoint not found"),
        (json.dumps({"title": "Bad", "detail": "", "errors": ["$: a", "$.b: c"]}), "Bad $: a; $.b: c"),
        (json.dumps({"error": "no", "status": 400}), "no"),
        (json.dumps({"message": "m"}), "m"),
        (json.dumps({"unknown": 1}), '{"unknown": 1}'),
        ("<html>\n  gone </html>", "<html> gone </html>"),
        ("[1]", "[1]"),
        ("", ""),
        ("[" * 100_000, "[" * MAX_CHARACTERS),
        (json.dumps({"detail": "x" * 10_000}), "x" * MAX_CHARACTERS),
    ],
)
def test_what_it_says(body, text):
    assert problem_text(body) == text


def test_an_api_that_is_gone_says_what_to_do():
    error = retired("The API", "SOME_URL", 410, json.dumps({"title": "Gone", "detail": "use version 2"}))
    assert error.message.startswith("The API is not there any more (HTTP status 410)")
    assert "Take SOME_URL out of the settings" in error.message
    assert error.message.endswith("It said: use version 2")
