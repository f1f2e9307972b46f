"""Small local files that go along with the request for a job, as data: URIs: a call less than to upload them first.
Source: RFC 2397."""

import base64
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from api_gpu.requests import INLINE, local_file, sendable
from api_gpu.uploads import local_errors
from apigpu.options import Source
from servicekit import media_types

# Of all files of a request; far below the most that a message may have, also as base64.
MAX_BYTES = 256 * 1024
# A data: URI without a type would be text.
UNKNOWN_TYPE = "application/octet-stream"


def inlined(sources: Sequence[Source]) -> list[Source]:
    """Return the sources with a data: URI in place of each local file, where all of these are small; else as they are.
    Raises NotFound and FailedPrecondition for a file that cannot be read."""
    files = dict.fromkeys(path for path in map(local_file, sources) if path is not None)
    uris: dict[Path, str] = {}
    left_bytes = MAX_BYTES
    for path in files:
        with local_errors(path, "read"):
            size_bytes = _size(path)
            left_bytes -= size_bytes
            if not size_bytes or left_bytes < 0:
                return list(sources)
            with path.open("rb", buffering=0) as opened:
                data = opened.read(size_bytes + 1)
        if len(data) != size_bytes:  # it is being written
            return list(sources)
        uris[path] = _uri(path.name, data)
    return [uris[file] if (file := local_file(source)) is not None else source for source in sources]


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 for what is no file, as a pipe."""
    status = path.stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _uri(filename: str, data: bytes) -> str:
    name = sendable(filename)
    kind = media_types.of_filename(name) or UNKNOWN_TYPE
    return f"{INLINE}{kind};name={quote(name, safe='')};base64,{base64.b64encode(data).decode()}"
