"""The sound of stories, judged by correlation: narrations at their scene, to the sample; clips that fade into each
other; music under it all."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from apigpu.encoder.v1 import encoder_pb2
from apigpu.v1 import story_pb2, video_pb2
from tests.support import judge, media, stories
from tests.support.encoder_harness import Client
from tests.support.stories import scene

SIZE = {"width": 64, "height": 36}
CROSSFADE = {"kind": story_pb2.TRANSITION_KIND_CROSSFADE, "seconds": 0.5}
Sound = npt.NDArray[np.float32]
# A thousandth of a second: what AAC smears is more.
NEAR = 48


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """A small still."""
    return media.image(tmp_path / "still.png", "64x36")


def noise(path: Path, seconds: float, seed: int) -> Path:
    """A sound that is like itself at one place alone."""
    media.run("-f", "lavfi", "-i", f"anoisesrc=d={seconds}:seed={seed}:c=pink:a=0.3:r=48000", "-ac", "1", path)
    return path


def place_of(part: Sound, whole: Sound) -> tuple[int, float]:
    """The sample of a sound at which another one begins, and how like it is there: 1 is the same."""
    size = 1 << int(np.ceil(np.log2(len(part) + len(whole))))
    spectrum = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    found = np.fft.irfft(spectrum, size)[: len(whole)]
    place = int(found.argmax())
    there = whole[place : place + len(part)]
    return place, float(found[place] / (np.linalg.norm(there) * np.linalg.norm(part[: len(there)]) + 1e-9))


def level(sound: Sound, start: float, end: float, tone: float) -> float:
    """How loud a tone is between two times."""
    part = sound[round(start * judge.RATE) : round(end * judge.RATE)]
    times = np.arange(len(part)) / judge.RATE
    return float(2 * np.abs(np.mean(part * np.exp(-2j * np.pi * tone * times))))


async def test_each_narration_begins_with_its_scene_and_is_heard_whole(
    client: Client, tmp_path: Path, still: Path
) -> None:
    voices = [noise(tmp_path / f"{seed}.wav", 1.1 + seed / 10, seed) for seed in (1, 2, 3)]
    scenes = [scene(still, url_audio=voice, pause=0.2) for voice in voices]
    film = await stories.film(client, tmp_path, scenes, transition=CROSSFADE, **SIZE)
    sound = judge.samples(film.path)
    assert film.plan.duration_seconds == pytest.approx(1.2 + 1.3 + 1.4 + 0.6, abs=1 / 24)
    for voice, start in zip(voices, film.starts, strict=True):
        place, likeness = place_of(judge.samples(voice), sound)
        assert place == pytest.approx(start * judge.RATE, abs=NEAR)
        assert likeness > 0.95
    assert len(sound) == pytest.approx(film.plan.duration_seconds * judge.RATE, abs=1024)
    assert film.reasons == []


async def test_a_narration_of_the_whole_is_cut_up_by_its_seconds(client: Client, tmp_path: Path, still: Path) -> None:
    voice = noise(tmp_path / "voice.mp3", 4, 4)
    scenes = [scene(still, **{"from": start, "to": end}) for start, end in ((0, 1.5), (1.5, 2.25), (2.25, 4))]
    film = await stories.film(client, tmp_path, scenes, transition=CROSSFADE, url_audio=voice, **SIZE)
    assert film.starts == [0, 1.5, 2.25]
    assert film.plan.duration_seconds == 4
    place, likeness = place_of(judge.samples(voice), judge.samples(film.path))
    assert (place <= NEAR, likeness > 0.95) == (True, True)


async def test_scenes_without_a_length_share_what_is_left_of_the_narration(
    client: Client, tmp_path: Path, still: Path
) -> None:
    voice = media.tone(tmp_path / "voice.wav", 6)
    scenes = [scene(still), scene(still, duracao=1.5), scene(still)]
    plan = await stories.plan(client, scenes, url_audio=voice, transition=CROSSFADE, **SIZE)
    assert plan.duration_seconds == 6
    assert [one.end - one.start for one in plan.scenes] == pytest.approx([2.5, 1, 2.5])


async def test_clips_fade_into_each_other_under_ducked_music(client: Client, tmp_path: Path, still: Path) -> None:
    clips = [media.video(tmp_path / f"{tone}.mp4", 2, "64x36", 24, False) for tone in (500, 900)]
    for path, tone in zip(clips, (500, 900), strict=True):
        media.run("-i", path, "-f", "lavfi", "-i", f"sine={tone}:d=2:r=48000", "-c:v", "copy", path.with_suffix(".mov"))
    heard = [path.with_suffix(".mov") for path in clips]
    music = media.tone(tmp_path / "music.wav", 1, 3000)
    scenes = [
        scene(heard[0], start=0.5, gain=-6),
        scene(heard[1]),
        scene(still, duracao=1.5),
        scene(heard[0], muted=True),
    ]
    film = await stories.film(
        client, tmp_path, scenes, transition=CROSSFADE, url_music=music, soundtrack={"loop": True, "gain": -12}, **SIZE
    )
    sound = judge.samples(film.path)
    assert [round(start * 24) for start in film.starts] == [0, 30, 66, 90]
    # FFmpeg's tones have an eighth of full scale, which the first clip has half of.
    assert level(sound, 0.2, 0.9, 500) == pytest.approx(1 / 16, rel=0.1)
    assert level(sound, 0.2, 0.9, 900) == pytest.approx(0, abs=0.002)
    middle = film.starts[1]
    assert level(sound, middle - 0.05, middle + 0.05, 500) == pytest.approx(1 / 16 * 0.707, rel=0.2)
    assert level(sound, middle - 0.05, middle + 0.05, 900) == pytest.approx(1 / 8 * 0.707, rel=0.2)
    assert level(sound, 1.6, 2.4, 900) == pytest.approx(1 / 8, rel=0.1)
    assert level(sound, 3.1, 3.6, 900) == pytest.approx(0, abs=0.002)
    assert level(sound, 4.2, 5, 500) == pytest.approx(0, abs=0.002)
    # The music goes on to the end.
    assert [level(sound, at, at + 0.4, 3000) for at in (0.3, 2, 4.8)] == pytest.approx([1 / 32] * 3, rel=0.15)


async def test_the_whole_has_the_loudness_that_was_asked_for(client: Client, tmp_path: Path, still: Path) -> None:
    voice = noise(tmp_path / "voice.wav", 4, 5)
    film = await stories.film(
        client, tmp_path, [scene(still, duracao=4)], url_audio=voice, soundtrack={"loudness": -30}, **SIZE
    )
    quiet = judge.samples(film.path)
    louder = await stories.film(
        client, tmp_path, [scene(still, duracao=4)], url_audio=voice, soundtrack={"loudness": -24}, **SIZE
    )
    ratio = np.linalg.norm(judge.samples(louder.path)) / np.linalg.norm(quiet)
    assert 20 * np.log10(ratio) == pytest.approx(6, abs=0.3)


async def test_sound_stays_with_the_picture(client: Client, tmp_path: Path, still: Path) -> None:
    # Lengths that fall between frames and between samples, in a fragmented file.
    voices = [noise(tmp_path / f"{seed}.wav", 0.313 + seed / 1000, seed) for seed in range(3)]
    scenes = [scene(still, url_audio=voice) for voice in voices]
    kind = video_pb2.CONTAINER_FRAGMENTED_MP4
    film = await stories.film(client, tmp_path, scenes, frame_rate=29.97, container=kind, **SIZE)
    assert b"moof" in film.path.read_bytes()
    sound = judge.samples(film.path)
    for voice, start in zip(voices, film.starts, strict=True):
        place, _ = place_of(judge.samples(voice), sound)
        assert place == pytest.approx(start * judge.RATE, abs=NEAR)
    length = sum(len(judge.samples(voice)) for voice in voices) / judge.RATE
    assert film.plan.duration_seconds == pytest.approx(length, abs=1 / 29.97)


async def test_no_error_adds_up_over_many_sounds(client: Client, tmp_path: Path, still: Path) -> None:
    # More than are read at once: voices in one lane, clips in two.
    voices = [noise(tmp_path / f"{seed}.wav", 0.513 + seed / 1000, seed) for seed in range(5)]
    clip = tmp_path / "clip.mp4"
    media.run(
        *("-f", "lavfi", "-i", "color=size=64x36:rate=24:duration=0.71", "-i", voices[3]),
        *("-c:v", "libx264", "-c:a", "pcm_s16le", "-f", "mov", clip),
    )
    scenes = [scene(still, url_audio=voices[0])]
    scenes += [scene(clip), scene(still, url_audio=voices[1]), scene(still, url_audio=voices[2])] * 26
    request, files = stories.request_of(scenes, transition={"seconds": 0.1}, frame_rate=29.97, **SIZE)
    planned = await client.encode(video_pb2.Operation(story=request), files)
    assert planned.summary is not None
    (task,) = (one for one in planned.summary.further if one.item == "sound")
    inputs: dict[str, Path | bytes] = {one.field: files[one.request_field] for one in task.inputs}
    await client.result(tmp_path / "sound.m4a", encoder_pb2.Task(id="sound", part=task.part), inputs)
    sound = judge.samples(tmp_path / "sound.m4a")
    for number in (0, 2, 3, 77, 78):
        voice = judge.samples(voices[0 if not number else 1 + (number + 1) % 3])
        start = round(planned.summary.scenes[number].start * judge.RATE)
        place, likeness = place_of(voice, sound[max(start - 4800, 0) : start + len(voice) + 4800])
        assert place == pytest.approx(min(start, 4800), abs=NEAR)
        assert likeness > 0.9
    # A clip begins with its transition, half of that before the scene is told to start.
    start = round((planned.summary.scenes[1].start - 1 / 29.97) * judge.RATE)
    place, _ = place_of(judge.samples(voices[3])[4800:], sound[start : start + 38_400])
    assert place == pytest.approx(4800, abs=3 * NEAR)
