"""Temporary folders of tools: removed with the block, and those that a killed tool left at the next start of one."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "api-gpu-"
LOCK = ".lock"


@contextlib.contextmanager
def folder(name: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder "api-gpu-<name>-…" in `parent` (None: that of the system)."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}{name}-", dir=parent))
    made = new.with_name(new.name[1:])
    try:
        with (new / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(made)  # only now, so that no sweep finds it unlocked
            yield made
    finally:
        for path in (new, made):
            shutil.rmtree(path, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the folders in `parent` whose tools have ended: nobody holds their locks."""
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
