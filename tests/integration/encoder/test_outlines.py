"""Outlines of inputs as an encoder receives them: sparse files."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apigpu.encoder.v1.encoder_pb2 import EncodeRequest, Input, InputChunk, InputEnd
from encoder.media.info import Source
from encoder.tasks import inputs
from servicekit.chunk_messages import Received
from servicekit.chunks import Checksum
from servicekit.disk import MIB
from servicekit.errors import DataLoss, ResourceExhausted

END = 100 * MIB
HEAD, TAIL = b"head" * 1000, b"tail" * 1000


async def sent(*chunks: tuple[int, bytes], is_cut: bool = False) -> AsyncIterator[Received[EncodeRequest]]:
    checksum = Checksum()
    for offset, data in chunks:
        checksum.add(data)
        request = inputs.REQUEST.outgoing(data, chunk=InputChunk(offset=offset))
        yield inputs.REQUEST.read(request.encode())
    size_bytes = checksum.size_bytes - is_cut
    end = EncodeRequest(input_end=InputEnd(size_bytes=size_bytes, sha256=checksum.sha256))
    yield inputs.REQUEST.read(end.SerializeToString())


async def received(
    folder: Path, *chunks: tuple[int, bytes], is_outline: bool = True, max_bytes: int = END, is_cut: bool = False
) -> Source:
    announced = [Input(field="url_video", is_outline=is_outline)]
    found = await inputs.receive(sent(*chunks, is_cut=is_cut), announced, folder, max_bytes)
    return found["url_video"]


async def test_an_outline_is_a_file_with_a_hole(tmp_path: Path) -> None:
    source = await received(tmp_path, (0, HEAD), (END - len(TAIL), TAIL))
    assert source.is_outline
    facts = source.path.stat()
    assert (facts.st_size, facts.st_blocks * 512 < MIB) == (END, True)
    with source.path.open("rb") as file:
        assert file.read(len(HEAD) + 2) == HEAD + b"\0\0"
        file.seek(-len(TAIL) - 2, 2)
        assert file.read() == b"\0\0" + TAIL


async def test_what_comes_whole_is_no_outline(tmp_path: Path) -> None:
    source = await received(tmp_path, (0, HEAD), (len(HEAD), TAIL))
    assert (source.is_outline, source.path.read_bytes()) == (False, HEAD + TAIL)


async def test_an_input_that_may_be_no_outline_has_no_hole(tmp_path: Path) -> None:
    source = await received(tmp_path, (0, HEAD), (END, TAIL), is_outline=False)
    assert (source.is_outline, source.path.read_bytes()) == (False, HEAD + TAIL)


async def test_no_chunk_is_written_over_another(tmp_path: Path) -> None:
    source = await received(tmp_path, (0, HEAD), (1, TAIL), (-5, HEAD))
    assert source.path.read_bytes() == HEAD + TAIL + HEAD


async def test_the_size_of_the_whole_file_counts(tmp_path: Path) -> None:
    with pytest.raises(ResourceExhausted):
        await received(tmp_path, (0, HEAD), (END - len(TAIL) + 1, TAIL))


async def test_what_was_sent_is_held_against_its_digest(tmp_path: Path) -> None:
    with pytest.raises(DataLoss):
        await received(tmp_path, (0, HEAD), (END - len(TAIL), TAIL), is_cut=True)
