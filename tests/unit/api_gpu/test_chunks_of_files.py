"""A file in chunks, whose memory is used again."""

import os
from pathlib import Path

import pytest

from api_gpu.uploads import CHUNK_BYTES, chunks_of


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7])
def test_a_file_is_all_there(tmp_path: Path, size_bytes: int) -> None:
    path, data = tmp_path / "a.bin", os.urandom(size_bytes)
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        assert b"".join(map(bytes, chunks_of(file))) == data


def test_a_chunk_is_there_while_the_next_one_is_digested_beside(tmp_path: Path) -> None:
    path, data = tmp_path / "a.bin", os.urandom(4 * CHUNK_BYTES)
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        before = memoryview(b"")
        for number, chunk in enumerate(chunks_of(file)):
            start = (number - 1) * CHUNK_BYTES
            assert number == 0 or before == data[start : start + CHUNK_BYTES]
            before = chunk
