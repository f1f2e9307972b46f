"""The work on a form grows with its size, whatever is in it."""

import contextlib

import pytest

from gateway.rest.forms import BadForm, FormParser
from tests.support.growth import assert_grows_gently

FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
HEAD = b"--b\r\nContent-Disposition: "
CASES = [
    (FILE, b"\r"),
    (FILE, b"\r\n--"),
    (FILE, b"\r\n--b"),
    (HEAD, b";"),
    (HEAD, b'name="a";'),
    (b"--b\r\n", b"X-A: b\r\n"),
]


def parse(body):
    parser = FormParser.of(b"b")
    with contextlib.suppress(BadForm):
        for start in range(0, len(body), 65_536):
            parser.feed(body[start : start + 65_536])


@pytest.mark.parametrize(("before", "unit"), CASES, ids=ascii)
def test_forms_grow_gently(before, unit):
    assert_grows_gently(lambda size: before + unit * (size // len(unit)), parse, 50_000)
