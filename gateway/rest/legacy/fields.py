"""Fields of the older form, by the message of the operation that takes them; docs/guides/migrate.md tells of each."""

from typing import Any

from gateway.rest.legacy import styles
from gateway.rest.legacy.translation import (
    LegacyRequest,
    Table,
    echoed,
    ignored,
    is_given,
    refused,
    renamed,
    text_of,
)
from servicekit.errors import InvalidArgument
from servicekit.spoken_words import plain_words

ZOOMS: dict[str, dict[str, Any]] = {"zoomin": {}, "zoomout": {"zoom_out": True}, "zoompanright": {"pan": "right"}}
# What background music was lowered by, where nothing was said.
MUSIC_DB = 20.0


def _type(request: LegacyRequest, name: str, value: Any) -> None:
    kind = text_of(value).lower()
    if kind not in ("segments", "highlight"):
        raise InvalidArgument.field(name, "must be segments or highlight", reason="BAD_FIELD")
    if kind == "highlight":
        request.message("style").setdefault("preset", "karaoke")


def _style(request: LegacyRequest, name: str, value: Any) -> None:
    request.body[name] = styles.converted(request, value) if styles.is_legacy(value) else value


def _words(request: LegacyRequest, name: str, value: Any) -> None:
    """Take the words of transcription tools in their shapes."""
    try:
        request.body[name] = plain_words(value)
    except ValueError as error:
        raise InvalidArgument.field(name, str(error), reason="BAD_FIELD") from error


def _uppercase(request: LegacyRequest, _: str, value: Any) -> None:
    request.message("style")["capitals"] = value


def _zoom_types(request: LegacyRequest, name: str, value: Any) -> None:
    """Give each still that has no motion the next of the zooms, in turn."""
    kinds = [text_of(kind).lower() for kind in (value if isinstance(value, list) else [value]) if is_given(kind)]
    if unknown := [kind for kind in kinds if kind not in ZOOMS]:
        text = f"{unknown[0][:40]!r} is none; each must be one of {', '.join(ZOOMS)}"
        raise InvalidArgument.field(name, text, reason="BAD_FIELD")
    images = request.body.get("images")
    images = [images] if isinstance(images, dict) else images
    if not kinds or not isinstance(images, list):
        return
    request.body["images"] = [_moved(image, ZOOMS[kinds[place % len(kinds)]]) for place, image in enumerate(images)]


def _moved(image: Any, motion: dict[str, Any]) -> Any:
    is_open = isinstance(image, dict) and motion and not is_given(image.get("motion"))
    return image | {"motion": motion} if is_open else image


def _video_urls(request: LegacyRequest, name: str, value: Any) -> None:
    videos = value if isinstance(value, list) else [value]
    urls = [video.get("video_url", "") if isinstance(video, dict) else video for video in videos]
    request.set("url_videos", urls, name)


def _music(request: LegacyRequest, name: str, value: Any) -> None:
    """Mix music under the sound of the video, from its beginning to its end."""
    request.set("url_audio", value, name)
    soundtrack = request.message("soundtrack")
    soundtrack.setdefault("mix", True)
    soundtrack.setdefault("loop", True)
    if "gain" not in soundtrack:
        soundtrack["gain"] = -MUSIC_DB
        text = f"the music is lowered by {MUSIC_DB:g} dB, as nothing is measured; give volume_reduction_db to choose."
        request.notes.warn(name, text)


def _volume(request: LegacyRequest, name: str, value: Any) -> None:
    request.message("soundtrack")["gain"] = -abs(styles.number(name, value))


COMMON: Table = {
    "id_roteiro": echoed("idRoteiro"),
    "path": ignored(
        "results are not put into a folder of your storage; take the file from `video_url` of the result, a link that "
        "expires, and store it where you want it."
    ),
}
CAPTION: Table = {
    **COMMON,
    "url_caption": renamed("url_srt"),
    "style": _style,
    "words": _words,
    "type": _type,
    "uppercase": _uppercase,
}
ADDAUDIO: Table = {**COMMON, "volume_reduction_db": _volume, "trilha_sonora": _music}
IMG2VID: Table = {**COMMON, "zoom_types": _zoom_types}
_NO_LOOP = refused("Videos are not repeated up to the end of a sound: join them here, then call /video/addaudio.")
CONCAT: Table = {
    **COMMON,
    "video_urls": _video_urls,
    **dict.fromkeys(("url_audio", "audio_url"), _NO_LOOP),
    "normalize": ignored("the sound is joined as it is; /video/addaudio sets its loudness by soundtrack.loudness."),
}
TABLES: dict[str, Table] = {
    "CaptionRequest": CAPTION,
    "Img2VidRequest": IMG2VID,
    "AddAudioRequest": ADDAUDIO,
    "ConcatRequest": CONCAT,
    "ThumbnailRequest": COMMON,
    # Never had an older form, and takes words as captions do.
    "StoryRequest": {"words": _words},
    "FrameRequest": COMMON,
}
