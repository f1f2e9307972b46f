"""Sources: what operations read."""

from collections.abc import Iterable
from pathlib import Path

ASSETS = "assets/"

Source = str | Path
"""What an operation reads: a local file, an http(s) URL that the gateway can reach, or the name of an asset."""


def local_file(source: Source) -> Path | None:
    """The local file that a source names; None for a URL or an asset."""
    if isinstance(source, Path):
        return source
    # The ids of assets are random: a file of that name means the folder "assets" here.
    if source.startswith(("http://", "https://")) or (source.startswith(ASSETS) and not Path(source).exists()):
        return None
    return Path(source)


def stems(sources: Iterable[Source]) -> list[str]:
    """Names for sources: their stems, with -2, -3 … where they would repeat."""
    names: list[str] = []
    for source in sources:
        stem = Path(str(source).partition("?")[0]).stem or "image"
        name, number = stem, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        names.append(name)
    return names
