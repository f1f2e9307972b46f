"""Lines of captions, judged by decoding: all that is drawn stays within the picture and its margins."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from tests.support import encoder_harness, judge, media
from tests.unit.encoder.test_subtitles import SCRIPT
from tests.unit.encoder.test_wrapping import ENGLISH, TEXTS

Client = encoder_harness.Client
Look = caption_style_pb2.CaptionStyle
RATE = 5


async def captioned(
    client: Client, folder: Path, size: tuple[int, int], cues: list[str], style: Look
) -> tuple[list[np.ndarray], list[video_pb2.Warning]]:
    """Each cue's brightness, height × width, each drawn in a frame of its own; and the warnings."""
    video = media.grey_video(folder / "v.mp4", len(cues) / RATE, f"{size[0]}x{size[1]}", RATE)
    times = [(number / RATE, (number + 1) / RATE) for number in range(len(cues))]
    subtitles = media.srt(folder / "s.srt", [(*time, text) for time, text in zip(times, cues, strict=True)])
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", style=style)
    out = folder / "o.mp4"
    summary = await client.result(out, video_pb2.Operation(caption=request), {"url_video": video, "url_srt": subtitles})
    return judge.pictures(out, "gray"), list(summary.warnings)


def box(gray: np.ndarray) -> tuple[int, int, int, int]:
    """Left, right, top and bottom of what is drawn on grey."""
    rows, columns = np.nonzero(np.abs(gray.astype(int) - int(np.median(gray))) > 40)
    return int(columns.min()), int(columns.max()), int(rows.min()), int(rows.max())


@pytest.mark.parametrize(
    ("size", "style"),
    [
        ((480, 270), Look()),
        ((270, 480), Look(preset=Look.PRESET_BOLD, italic=True)),
        ((480, 270), Look(preset=Look.PRESET_BOX, margin_x=20)),
    ],
    ids=["classic", "bold", "box"],
)
async def test_every_line_is_within_the_picture(
    client: Client, tmp_path: Path, size: tuple[int, int], style: Look
) -> None:
    shown, _ = await captioned(client, tmp_path, size, [text.replace("\n\n", "\n") for text in TEXTS.values()], style)
    # What lies beyond the letters may reach into the margin.
    margin = (style.margin_x or 5) / 100 * size[0] - 8
    for name, picture in zip(TEXTS, shown, strict=True):
        left, right, top, bottom = box(picture)
        assert left >= margin, name
        assert right <= size[0] - margin, name
        assert top > 1, name
        assert bottom < size[1] - 1, name


async def test_captions_about_a_point_are_within_the_picture(client: Client, tmp_path: Path) -> None:
    for number, (x, y) in enumerate(itertools.product((0, 0.2, 1), (0, 1))):
        folder = tmp_path / str(number)
        folder.mkdir()
        ((picture,), warnings) = await captioned(client, folder, (320, 180), [ENGLISH], Look(x=x, y=y))
        left, right, top, bottom = box(picture)
        assert 1 < left < right < 318
        assert 1 < top < bottom < 178
        assert not warnings
        if x == 0.2:
            assert abs((left + right) / 2 - 64) < 4


async def test_too_much_text_is_smaller_and_told(client: Client, tmp_path: Path) -> None:
    style = Look(size=14)
    shown, warnings = await captioned(client, tmp_path, (320, 180), ["Hi", ENGLISH * 2, ENGLISH * 40], style)
    assert [(warning.reason, warning.metadata["cue"]) for warning in warnings] == [
        ("CAPTION_SMALLER", "2"),
        ("CAPTION_CUT", "3"),
    ]
    _, _, top, bottom = box(shown[1])
    assert 0 < top < 30
    assert bottom < 178


OF_SCRIPTS = [
    ("Hi", False),
    ("word " * 20, False),
    ("{\\q2}" + "word " * 20, True),
    ("x" * 60, True),
    ("{\\fs20}" + "x" * 60, False),
    ("{\\fs10}" + "x" * 60, False),
    ("{\\pos(20,100)}Hello world", True),
    ("{\\an7\\pos(20,100)}Hello world", False),
    ("{\\pos(900,100)}Hi", True),
    ("word " * 300, True),
    ("{\\fscx300}" + "Hello" * 5, True),
    ("{\\b1\\i1}a\\Nb{\\r}\\Nc", False),
    ("{\\move(900,100,20,20)}" + "x" * 60, False),
]


async def test_lines_of_a_script_that_leave_the_picture_are_told(client: Client, tmp_path: Path) -> None:
    video = media.grey_video(tmp_path / "v.mp4", 0.2, "640x360", RATE)
    head, last = SCRIPT.rsplit("Dialogue:", 1)
    line = head[head.index("Dialogue:") :]
    events = "".join(line.replace("{\\fnOther\\b1}Hi {\\i1}漢", text) for text, _ in OF_SCRIPTS)
    script = f"{head.replace(line, events)}Dialogue:{last}"
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s")
    operation, inputs = video_pb2.Operation(caption=request), {"url_video": video, "url_srt": script.encode()}
    summary = await client.result(tmp_path / "o.mp4", operation, inputs)
    told = [int(warning.metadata["cue"]) for warning in summary.warnings if warning.reason == "CAPTION_CUT"]
    assert told == [number for number, (_, leaves) in enumerate(OF_SCRIPTS, 1) if leaves]
