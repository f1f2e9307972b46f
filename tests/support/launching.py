"""Programs run by a launch server, as tasks run FFmpeg."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from encoder.planning.processes import LaunchServerClient


async def launched(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Return the return code of a program, and what it told on its standard output and error."""
    client = LaunchServerClient()
    async with contextlib.aclosing(client):
        with tempfile.TemporaryFile() as output, Path(os.devnull).open("rb") as nothing:
            files = (nothing.fileno(), output.fileno(), output.fileno())
            child = await client.launch(command, folder, files)
            code = await child.ended
            output.seek(0)
            return code, output.read().decode()
