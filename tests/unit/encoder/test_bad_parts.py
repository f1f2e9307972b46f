"""Parts of a story that no encoder of this version writes are refused, whatever is in them."""

from pathlib import Path

import pytest

from apigpu.encoder.v1 import story_pb2
from encoder.captions.fonts import FontLibrary
from encoder.codecs.base import X264
from encoder.operations import story_splice
from encoder.operations.plan import PlanContext
from encoder.splice.h264 import DecoderRecord
from servicekit.errors import InvalidArgument

CUT_OFF = DecoderRecord(b"\x01\x64\x00\x1e", 4, (b"\x67\x64",), (b"\x68\xee",)).to_bytes()


@pytest.mark.parametrize("record", [b"", b"\x01" * 9, CUT_OFF, b"\x01" + bytes(1000)])
def test_parameter_sets_that_cannot_be_read_are_refused(tmp_path: Path, record: bytes) -> None:
    fit = story_pb2.SpliceFit(number=31, profile="high", level=30, references=4, reordered=2)
    film = story_pb2.Film(width=160, height=90, rate_frames=25, rate_seconds=1, frames=50)
    part = story_pb2.ScenePart(film=film, frames=50, splice=story_pb2.SceneSplice(fit=fit, decoder_record=record))
    context = PlanContext({}, tmp_path, "result", X264("veryfast", 23), 1, FontLibrary(None))
    with pytest.raises(InvalidArgument) as caught:
        story_splice.plan(part, context)
    assert caught.value.reason == "BAD_PART"
