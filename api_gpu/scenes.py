"""The scenes of a story, and the stills of a request, from what a caller gives: files, URLs, assets, or more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from api_gpu.requests import ASSETS, INLINE, elements, local_file
from apigpu.options import Scene, Source
from servicekit.media_types import of_filename

VIDEO = "video/"
STILL_SECONDS = 5.0
Request = Mapping[str, Any]
"""The request of an operation, by the names of its method or of the JSON surface."""


def scenes_of(
    scenes: Iterable[Source | Scene | Mapping[str, Any]], asset_type: Callable[[str], str]
) -> list[Scene | Mapping[str, Any]]:
    """Return the scenes, one that is a mere source as the still or the video that its name says it is.

    `asset_type` tells the media type of an asset. Raises InvalidArgument for what is no list.
    """
    given = elements(scenes, "scenes")
    return [_scene_of(each, asset_type) if isinstance(each, str | Path) else each for each in given]


def asset_names(scenes: Iterable[Source | Scene | Mapping[str, Any]]) -> list[str]:
    """Return the assets among scenes that are mere sources, whose types say whether they are stills or videos."""
    return [each for each in elements(scenes, "scenes") if isinstance(each, str) and each.startswith(ASSETS)]


def with_ids(img2vid: Request) -> Request:
    """Return a request whose stills have ids and lengths, also where nothing is said of them."""
    stills = elements(img2vid.get("images", ()), "img2vid.images")
    numbered = [{"id": str(place), "seconds": STILL_SECONDS, **still} for place, still in enumerate(stills, 1)]
    return {**img2vid, "images": numbered}


def _scene_of(source: Source, asset_type: Callable[[str], str]) -> Scene:
    is_video = _media_type(source, asset_type).startswith(VIDEO)
    return Scene(video=source) if is_video else Scene(image=source)


def _media_type(source: Source, asset_type: Callable[[str], str]) -> str:
    if (path := local_file(source)) is not None:
        return of_filename(path.name)
    text = str(source)
    if text.startswith(ASSETS):
        return asset_type(text)
    return text.removeprefix(INLINE) if text.startswith(INLINE) else of_filename(urlsplit(text).path)
