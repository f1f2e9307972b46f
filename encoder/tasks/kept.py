"""Files that a run of FFmpeg made of inputs, kept in memory for the tasks that follow: a still, as it was prepared for
one picture of it. Who looks for the place of a camera asks for many pictures of one still, and of all that a picture
takes to decode a large PNG takes longest.

A file is known by the digests of the inputs that it was made of, and by all that FFmpeg was told to make of them. So
whoever gets one has sent the same bytes, and would have made the same of them: nothing of one tenant comes to another.
Nothing is kept of a task that has other inputs, too: one of those may have taken over a process that reads it, and what
that puts in the place of a file is not to come to others.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from encoder.ffmpeg.command import FfmpegRun
from encoder.media.files import open_regular
from encoder.media.info import Source
from servicekit.tasks import run_to_completion

# Of all files; some ten stills for clips of 1080p.
MAX_BYTES = 64 * 1024 * 1024
# After the last task that had use for it.
KEEP_SECONDS = 60.0

Key = tuple[tuple[str, ...], tuple[str, ...], str]


@dataclass
class _Kept:
    files: Mapping[str, bytes]
    used_at: float

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.files.values()))


@dataclass(eq=False)
class KeptFiles:
    """Keeps what runs name in `keeps`: `max_bytes` in all, each for some `seconds` after it was used."""

    max_bytes: int = MAX_BYTES
    seconds: float = KEEP_SECONDS
    # The one that was used last is the last.
    _kept: dict[Key, _Kept] = field(default_factory=dict, init=False)

    async def restore(self, run: FfmpegRun, sources: Mapping[str, Source], folder: Path) -> bool:
        """Write what an earlier run made of the same inputs into the folder of a task; False where nothing is kept of
        it, and the run must be."""
        key = _key(run, sources)
        kept = self._kept.pop(key, None) if key is not None else None
        if key is None or kept is None:
            return False
        self._hold(key, kept)
        return await run_to_completion(asyncio.to_thread(_write, kept.files, folder))

    async def keep(self, run: FfmpegRun, sources: Mapping[str, Source], folder: Path) -> None:
        """Keep what a run has made that ended well, as far as there is room."""
        key = _key(run, sources)
        if key is None:
            return
        files = await run_to_completion(asyncio.to_thread(_read, run.keeps, folder, self.max_bytes))
        if files is not None:
            self._hold(key, _Kept(files, 0.0))

    def _hold(self, key: Key, kept: _Kept) -> None:
        self._kept.pop(key, None)
        self._kept[key] = kept
        kept.used_at = time.monotonic()
        asyncio.get_running_loop().call_later(self.seconds, self._let_go)
        while sum(one.size_bytes for one in self._kept.values()) > self.max_bytes:
            del self._kept[next(iter(self._kept))]

    def _let_go(self) -> None:
        """Forget what was not used for so long."""
        before = time.monotonic() - self.seconds
        for key in [key for key, kept in self._kept.items() if kept.used_at <= before]:
            del self._kept[key]


def _key(run: FfmpegRun, sources: Mapping[str, Source]) -> Key | None:
    """Return by what the files of a run are known; None for a run of which nothing is kept."""
    digests = tuple(sources[name].sha256 if name in sources else "" for name in run.fields)
    if not run.keeps or run.stdin is not None or not digests or not all(digests):
        return None
    if any(source.sha256 not in digests for source in sources.values()):
        return None
    return digests, run.arguments, run.cut_off_signs


def _write(files: Mapping[str, bytes], folder: Path) -> bool:
    """Write files that are not there; what a process that plans may have put in their place is left to the run."""
    try:
        for name, data in files.items():
            with (folder / name).open("xb") as file:
                file.write(data)
    except FileExistsError:
        return False
    return True


def _read(names: tuple[str, ...], folder: Path, max_bytes: int) -> dict[str, bytes] | None:
    """Return files; None for those that are too large, or no files."""
    files: dict[str, bytes] = {}
    left_bytes = max_bytes // 2
    try:
        for name in names:
            with open_regular(folder / name) as file:
                files[name] = file.read(left_bytes + 1)
            left_bytes -= len(files[name])
            if left_bytes < 0:
                return None
    except OSError:
        return None
    return files
