"""The options of `caption`, `img2vid` and `addaudio`, as processes against the real pair; results are decoded."""

import json
from pathlib import Path

import fontpkg_fira_sans
import numpy as np
import numpy.typing as npt
import pytest

from tests.integration.api_gpu.conftest import Run
from tests.support.judge import RATE, Picture, differing, facts, pictures, samples
from tools.samples import Samples

FONT = Path(fontpkg_fira_sans.__file__).parent / "files" / "FiraSans-ThinItalic.ttf"
VTT = "WEBVTT\n\n00:00.000 --> 00:02.000\nHello you\n"
WORDS = [{"text": "Hello", "start": 0, "end": 0.2, "score": 0.9}, {"text": "you", "start": 0.2, "end": 2}]

SAID = (3, 20)
"""Frames in which the one and the other is said; by their letters, "Hello" would take both."""


def test_caption_takes_words_style_and_a_font_of_its_own(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "talk.vtt").write_text(VTT)
    (tmp_path / "words.json").write_text(json.dumps(WORDS))
    look = ("--preset", "karaoke", "--position", "top", "--size", 15, "--color", "#FFFFFF", "--outline", 0)
    karaoke = ("--words", "words.json", "--highlight-color", "#FF0000", "--no-bold", "--no-capitals")
    box = ("--box-color", "#000000", "--font", FONT, "--margin-y", 0, "--container", "fragmented-mp4")
    done = run("caption", media.video, "talk.vtt", "-o", "out.mp4", *look, *karaoke, *box)
    assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr

    shown, source = pictures(tmp_path / "out.mp4"), pictures(media.video)
    changed = [differing(shown[number], source[number]) for number in SAID]
    assert changed[0][:60].mean() > 0.1
    assert changed[0][120:].mean() < 0.02
    early, late = (red(shown[number], where) for number, where in zip(SAID, changed, strict=True))
    assert late - early > 40  # "Hello" stands before "you"
    assert b"moof" in (tmp_path / "out.mp4").read_bytes()


def red(picture: Picture, where: npt.NDArray[np.bool_]) -> float:
    """The column about which the letters that are lit in red stand."""
    levels = picture.astype(int)
    lit = where & (levels[..., 0] > 100) & (levels[..., 1] < 60) & (levels[..., 2] < 60)
    return float(np.flatnonzero(lit[:60].any(axis=0)).mean())


def test_img2vid_takes_size_fit_and_camera(run: Run, media: Samples, tmp_path: Path) -> None:
    size = ("--width", 180, "--height", 320, "--fit", "contain", "--background", "#FF0000")
    camera = ("--start-zoom", 1, "--end-zoom", 2, "--zoom-out", "--focus-x", 0, "--focus-y", 0.5, "--easing", "in-out")
    done = run("img2vid", media.images[0], "--seconds", 0.5, "--fps", 10, "-o", "out.mp4", *size, *camera)
    assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
    first, *_, last = pictures(tmp_path / "out.mp4")
    assert first.shape == (320, 180, 3)
    bars = [int((picture[:, 90, 0].astype(int) - picture[:, 90, 1] > 150).sum()) for picture in (first, last)]
    assert bars[0] < bars[1]  # near at first


def test_addaudio_mixes_at_a_loudness_and_with_a_delay(run: Run, media: Samples, tmp_path: Path) -> None:
    mix = ("--mix", "--original-gain", -6, "--gain", -3, "--loop", "--delay", 1, "--fade-out", 0.1, "--loudness", -20)
    done = run("addaudio", media.video, media.audio, "-o", "out.mp4", *mix)
    assert (done.returncode, done.stdout) == (0, "out.mp4\n"), done.stderr
    assert facts(tmp_path / "out.mp4").seconds == pytest.approx(2, abs=0.1)
    sound = samples(tmp_path / "out.mp4")
    early, late = sound[RATE // 10 : RATE * 9 // 10], sound[RATE * 11 // 10 : RATE * 19 // 10]
    assert level(early, 330) > 0.01
    assert level(early, 550) < level(early, 330) / 20
    assert level(late, 550) > level(late, 330) > 0.01


def level(sound: npt.NDArray[np.float32], hertz: int) -> float:
    """The amplitude of a tone."""
    angle = 2 * np.pi * hertz * np.arange(len(sound)) / RATE
    return float(2 * abs((sound * np.exp(-1j * angle)).mean()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("caption", "a.mp4", "a.srt", "--preset", "loud"), "'karaoke'"),
        (("caption", "a.mp4", "a.srt", "--size", "41"), "--size"),
        (("caption", "a.mp4", "a.srt", "--words", "absent.json"), "--words"),
        (("caption", "a.mp4", "a.srt", "--words", "words.json"), '{"text": "Hello"'),
        (("caption", "a.mp4", "a.srt", "--color", "red"), "is no color"),
        (("img2vid", "a.png", "--width", "640"), "go together"),
        (("img2vid", "a.png", "--pan", "away"), "'up-left'"),
        (("addaudio", "a.mp4", "a.wav", "--loudness", "3"), "--loudness"),
        (("addaudio", "a.mp4", "a.wav", "--container", "mkv"), "'fragmented-mp4'"),
    ],
)
def test_a_wrong_option_exits_with_2(run: Run, tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    (tmp_path / "words.json").write_text('[{"text": "Hello", "start": "soon", "end": 1}]')
    done = run(*arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_what_the_encoder_refuses_is_told_by_its_field(run: Run, media: Samples, tmp_path: Path) -> None:
    (tmp_path / "fake.ttf").write_text("no font")
    done = run("caption", media.video, media.subtitles, "--font", "fake.ttf", "-o", "out.mp4")
    assert (done.returncode, done.stdout) == (1, "")
    assert "api-gpu: url_font: it is no TrueType or OpenType font" in done.stderr
    assert not (tmp_path / "out.mp4").exists()
