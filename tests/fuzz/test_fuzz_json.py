"""Bodies and queries: a message, or an error of the caller's, in bounded time; and what is written is read back."""

import contextlib
import json

from hypothesis import strategies as st

from apigpu.v1 import jobs_pb2, video_pb2
from gateway.rest.legacy import fields, styles
from gateway.rest.legacy.translation import LegacyNotes, translate
from gateway.rest.protojson import decode, encode, parse
from gateway.rest.request import parse_query
from servicekit.errors import ServiceError
from tests.support.fuzz import bounded, fuzz, joined


def names_below(descriptor, depth=3):
    """The names of a message's fields, and of those in it."""
    found = set()
    for field in descriptor.fields:
        found |= {field.name, field.json_name}
        if field.message_type and depth:
            found |= names_below(field.message_type, depth - 1)
    return found


OLDER = {name.rpartition(".")[2] for name in (*styles.FIELDS, *styles.OPACITIES, *styles.IGNORED, *styles.GROUPS)}
OLDER |= {name for table in fields.TABLES.values() for name in table}
NAMES = sorted(names_below(video_pb2.Operation.DESCRIPTOR) | OLDER)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "1", "NaN", "-Infinity", "1e400", "9" * 400, "AAAA", "2020-01-01T00:00:00Z", "1.5s", "\u0000"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=30,
)
FRAGMENTS = st.sampled_from(
    [*'{}[]:,"\\ \n', "null", "true", "1", "-", "1e9999", '"a"', "\\u0000", "\\ud800", "//", "é", "{}", "[]"]
)


def read(data, message):
    """Merge JSON into a message; False when it is refused."""
    with bounded(len(data)):
        try:
            notes = LegacyNotes()
            decode.merge(message, translate(fields.TABLES, message.DESCRIPTOR, parse.loads(data), notes))
            encode.dumps(notes.add_to({}))
        except ServiceError:
            return False
    return True


@fuzz(examples=80, value=VALUES)
def test_values_of_any_shape(value):
    message = video_pb2.Operation()
    if read(json.dumps(value).encode(), message):
        again = video_pb2.Operation()
        assert read(encode.dumps(encode.to_json(message)), again)
        assert encode.to_json(again) == encode.to_json(message)


@fuzz(examples=40, text=joined(FRAGMENTS))
def test_text_that_is_hardly_json(text):
    read(text.encode(), video_pb2.Operation())


@fuzz(data=st.binary(max_size=300))
def test_bytes(data):
    read(data, video_pb2.Operation())


@fuzz(
    examples=40,
    text=joined(st.sampled_from([*"&=;%+.?", "page_size", "status", "pageToken", "1", "%00", "%f", "%ff", "a.b", "é"])),
)
def test_queries(text):
    with bounded(len(text)), contextlib.suppress(ServiceError):
        parameters = parse_query(text.encode("ascii", errors="ignore"))
        for name, values in parameters.items():
            decode.set_text(jobs_pb2.ListJobsRequest(), name, values)


@fuzz(
    examples=40,
    path=joined(st.sampled_from([*NAMES, ".", "..", "", "0"]), 6),
    texts=st.lists(st.text(max_size=6), max_size=3),
)
def test_paths_of_fields(path, texts):
    with contextlib.suppress(ServiceError):
        decode.set_text(video_pb2.Operation(), path, texts)
