"""Subtitles as tools write them, drawn: held against what they mean, written plainly."""

from pathlib import Path

import grpc
import numpy as np
import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from tests.integration.encoder.operations.test_caption_text import Client, captioned, near
from tests.support import media

Look = caption_style_pb2.CaptionStyle
LARGE = Look(size=14)
# What stands in a file, and what is seen; each for two frames.
SEEN = [
    (r"{\i1}Slanted{\i0} and {\c&H00FFFF&}yellow{\c}", '<i>Slanted</i> and <font color="#FFFF00">yellow</font>'),
    ("first<br>second<br/>third", "first\nsecond\nthird"),
    ("Tom &amp; Jerry&#39;s &lt;3", "Tom & Jerry's <3"),
    (r"{\fad(90,90)\blur3}<v Roger>plain</v> <span>text</span>", "plain text"),
    (
        '<font color="#0f0">green</font> <c.colorFF8000>orange</c>',
        '<font color="#00FF00">green</font> <font color="#FF8000">orange</font>',
    ),
    (r"{\an8}{\fs20}top", r"{\an8}top"),
    ("a < b > c <3 {hello} AT&T", "a < b > c <3 {hello} AT&T"),
]


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    return media.grey_video(media_dir / "cues.mp4", 2, "320x180", 10)


def blocks(*cues: tuple[float, float, str]) -> str:
    shown = (f"00:00:0{start:.3f} --> 00:00:0{end:.3f}\n{text}\n" for start, end, text in cues)
    return "\n".join(f"{number}\n{cue}" for number, cue in enumerate(shown, 1))


async def test_marks_look_as_they_mean(client: Client, video: Path, tmp_path: Path) -> None:
    given, meant = (
        blocks(*((number / 5, (number + 1) / 5, case[side]) for number, case in enumerate(SEEN))) for side in (0, 1)
    )
    one, summary = await captioned(client, video, tmp_path / "1.mp4", given, style=LARGE)
    other, plain = await captioned(client, video, tmp_path / "2.mp4", meant, style=LARGE)
    differing = [case for case, a, b in zip(SEEN, one[1::2], other[1::2], strict=False) if not np.array_equal(a, b)]
    assert not differing
    assert all((np.abs(frame - 0x40).max(axis=2) > 90).sum() > 50 for frame in one[1 : 2 * len(SEEN) : 2])
    (warning,) = summary.warnings
    assert (warning.reason, warning.metadata["marks"]) == ("MARKS_IGNORED", r"\blur \fad \fs")
    assert not plain.warnings


async def test_places_stacks_and_what_is_left_out(client: Client, video: Path, tmp_path: Path) -> None:
    """Of one file: a point, two captions that overlap, a bad one, one at the end of the video and one after it."""
    cues = [
        (0.0, 0.4, r"{\pos(96,72)}HH"),
        (0.4, 1.0, "<font color=yellow>older</font>"),
        (0.6, 1.2, "newer"),
        (0.6, 1.2, "newer"),
        (1.3, 1.25, "backwards"),
        (1.4, 3.0, "end"),
        (5.0, 6.0, "late"),
    ]
    frames, summary = await captioned(client, video, tmp_path / "o.mp4", blocks(*cues), style=LARGE)
    rows, columns = np.nonzero(near(frames[2], (255, 255, 255)))
    assert columns.mean() == pytest.approx(80, abs=3)
    assert 20 < rows.min() < rows.max() <= 46  # the foot of the letters stands at a quarter of the height
    (older, _), (newer, _) = (np.nonzero(near(frames[8], color, 120)) for color in ((255, 255, 0), (255, 255, 255)))
    assert older.max() < newer.min()
    assert newer.max() - newer.min() < 25  # one line
    assert np.abs(np.nonzero(near(frames[5], (255, 255, 0), 120))[0].max() - newer.max()) < 8  # alone it stands below
    assert not near(frames[13], (255, 255, 255)).any()
    assert near(frames[19], (255, 255, 255)).any()
    assert [warning.reason for warning in summary.warnings] == ["CUES_LEFT_OUT", "CUES_AFTER_END", "CUES_CUT_SHORT"]
    named = [warning.metadata["cues"] for warning in summary.warnings]
    assert [name.split(" (")[0] for name in named] == ["caption 5, line 18", "caption 7, line 26", "caption 6, line 22"]


async def test_capitals_of_turkish(client: Client, video: Path, tmp_path: Path) -> None:
    style = Look(capitals=True)
    small, large = blocks((0.0, 1.0, "istanbul")), blocks((0.0, 1.0, "İSTANBUL"))
    one, _ = await captioned(client, video, tmp_path / "1.mp4", small, style=style, language="tr")
    other, _ = await captioned(client, video, tmp_path / "2.mp4", large)
    assert np.array_equal(one[5], other[5])


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("caption", "url_video"),
        ("caption", "url_srt"),
        ("img2vid", "images.image_url"),
        ("addaudio", "url_audio"),
    ],
)
async def test_a_web_page_in_place_of_a_file_is_told(
    client: Client, video: Path, cues: Path, still: Path, sound: Path, kind: str, field: str
) -> None:
    page = b"<!DOCTYPE html>\n<html><head><title>Google Drive - Virus scan warning</title>"
    link = "https://www.dropbox.com/s/abc/file?dl=0"
    operations = {
        "caption": video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt=link)),
        "addaudio": video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a")),
        "img2vid": video_pb2.Operation(img2vid={"images": [{"id": "1", "image_url": link, "duracao": 1}]}),
    }
    inputs: dict[str, Path | bytes] = {
        "url_video": video,
        "url_srt": cues,
        "images.image_url": still,
        "url_audio": sound,
    }
    fields = {
        "caption": ("url_video", "url_srt"),
        "addaudio": ("url_video", "url_audio"),
        "img2vid": ("images.image_url",),
    }
    given = {name: page if name == field else inputs[name] for name in fields[kind]}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(operations[kind], given)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    told = caught.value.details() or ""
    assert told.startswith(f"{field}: a web page came in place of the file.")
    assert ("dl=1" if field in ("url_srt", "images.image_url") else "anyone who has the link") in told
