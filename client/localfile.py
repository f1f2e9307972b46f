"""Files of this machine, and what its file system refuses."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from client.source import Source, local_file
from rpc.errors import FailedPrecondition, NotFound


@contextmanager
def local_errors(path: Path, doing: str) -> Iterator[None]:
    """Raise what the local file system refuses as NotFound or FailedPrecondition."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"cannot {doing} {path}: no such file or folder.", reason="LOCAL_FILE") from error
    except OSError as error:
        raise FailedPrecondition(f"cannot {doing} {path}: {error.strerror or error}.", reason="LOCAL_FILE") from error


def check_readable(sources: Iterable[Source]) -> None:
    """Raises NotFound or FailedPrecondition for the first local file among them that cannot be read."""
    for path in filter(None, map(local_file, sources)):
        with local_errors(path, "read"):
            if not path.is_fifo():  # a pipe can be opened once
                path.open("rb").close()
