"""Forms of any bytes, in any pieces: parsed, or refused as the caller's; and no byte of a file is lost or made up."""

from hypothesis import strategies as st

from gateway.rest.forms import BadForm, FormParser
from tests.support.fuzz import fuzz

PIECES = st.sampled_from(
    [
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n--b",
        b"\r\n",
        b"Content-Disposition: form-data; ",
        b'name="a"',
        b'; filename="a.mp4"',
        b"; filename*=UTF-8''%zz",
        b"\xff\x00:",
    ]
) | st.binary(max_size=12)


def fed(pieces):
    """The parser of a form that came in these pieces; None for one that it refused."""
    parser = FormParser.of(b"b")
    try:
        for piece in pieces:
            parser.feed(piece)
    except BadForm:
        return None
    return parser


@fuzz(examples=300, pieces=st.lists(PIECES, max_size=30))
def test_any_bytes_are_a_form_or_refused(pieces):
    fed(pieces)


@fuzz(
    examples=200,
    data=st.binary(max_size=400).filter(lambda data: b"\r\n--b" not in data),
    cuts=st.lists(st.integers(1, 60)),
)
def test_a_file_comes_as_it_was_sent_however_it_is_cut(data, cuts):
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + data + b"\r\n--b--\r\n"
    pieces = []
    for cut in cuts:
        pieces.append(body[:cut])
        body = body[cut:]
    parser = fed([*pieces, body])
    assert (parser.is_whole, bytes(parser.file.data)) == (True, data)
