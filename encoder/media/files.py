"""Files that a sandboxed process wrote, or could have, opened by the encoder itself: what was shut in may have put
anything there."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_regular(path: Path, *, to_write: bool = False) -> BinaryIO:
    """Open a file that is there, to be read, or to be written as well, without a buffer. Raises FileNotFoundError, and
    OSError for what is no plain file: a link would lead out of the task's folder, a pipe would hold the reader for
    ever."""
    file = os.open(path, (os.O_RDWR if to_write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return os.fdopen(file, "r+b" if to_write else "rb", 0)
