"""What stories are planned to be: captions over joints, faults that name their scenes, warnings, outlines, and plans of
many scenes that stay small."""

import io
import os
import zipfile
from pathlib import Path

import grpc
import numpy as np
import pytest

from apigpu.encoder.v1 import encoder_pb2, story_pb2
from apigpu.v1 import caption_style_pb2, video_pb2
from apigpu.v1 import story_pb2 as public_pb2
from servicekit.errors import from_status
from tests.support import encoder_harness, judge, media, stories
from tests.support.encoder_harness import Client
from tests.support.stories import scene

SIZE = {"width": 160, "height": 90}
CROSSFADE = {"kind": public_pb2.TRANSITION_KIND_CROSSFADE, "seconds": 0.5}


@pytest.fixture
def gray(tmp_path: Path) -> Path:
    """A still of one gray."""
    path = tmp_path / "gray.png"
    media.run("-f", "lavfi", "-i", "color=c=0x404040:size=160x90,format=rgb24", "-frames:v", "1", "-update", "1", path)
    return path


def faults(caught: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> dict[str, str]:
    """The fields of an error, and what is wrong with each."""
    trailers = dict(caught.value.trailing_metadata() or ())
    from google.rpc import status_pb2

    return dict(from_status(status_pb2.Status.FromString(trailers["grpc-status-details-bin"])).fields)


async def test_captions_are_drawn_by_the_clock_of_the_film(client: Client, tmp_path: Path, gray: Path) -> None:
    cues = media.srt(tmp_path / "c.srt", [(0.5, 0.75, "One"), (1.25, 2.25, "Over two joints")])
    scenes = [scene(gray, duracao=1.5), scene(gray, duracao=0.75), scene(gray, duracao=1.25)]
    film = await stories.film(client, tmp_path, scenes, url_srt=cues, transition={"seconds": 0.25}, **SIZE)
    shown = judge.pictures(film.path, "gray")
    lit = [number for number, picture in enumerate(shown) if int(picture.max()) > 160]
    assert lit == [*range(12, 18), *range(30, 54)]
    # The same on both sides of a joint, but for what coding leaves.
    joint = film.plan.further[0].frames
    assert np.abs(shown[joint].astype(int) - shown[joint - 1].astype(int)).max() < 48
    assert film.reasons == []


# Each caption is pushed up by the one before it, and stays there when that is gone.
STACKED = """[Script Info]
ScriptType: v4.00+
PlayResX: 160
PlayResY: 90
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment, MarginL, MarginR, MarginV, Encoding, Outline, Shadow
Style: Default,DejaVu Sans,14,&H00FFFFFF,2,5,5,5,1,1,0
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,First
Dialogue: 0,0:00:00.50,0:00:02.00,Default,,0,0,0,,Second
Dialogue: 0,0:00:01.25,0:00:02.50,Default,,0,0,0,,Third
Dialogue: 0,0:00:01.75,0:00:03.00,Default,,0,0,0,,Fourth
"""


async def test_captions_that_push_each_other_stand_as_in_one_drawing(
    client: Client, tmp_path: Path, gray: Path
) -> None:
    cues = tmp_path / "stacked.ass"
    cues.write_text(STACKED)
    # Joints while two are shown, just after one has gone, where one stands alone in its old place.
    clip = tmp_path / "clip.mp4"
    media.run("-loop", "1", "-i", gray, "-t", "1", "-r", "24", "-pix_fmt", "yuv420p", clip)
    scenes = [scene(gray, duracao=0.75), scene(clip, duracao=0.5), scene(gray, duracao=0.85), scene(gray, duracao=0.9)]
    film = await stories.film(client, tmp_path, scenes, url_srt=cues, **SIZE)
    shown = judge.pictures(film.path, "gray")
    whole = await stories.film(client, tmp_path / "whole", [scene(gray, duracao=3)], url_srt=cues, **SIZE)
    expected = judge.pictures(whole.path, "gray")
    assert len(shown) == len(expected) == 72
    # Letters at the same places, but for what coding leaves of their edges.
    assert max(int(((one > 140) != (other > 140)).sum()) for one, other in zip(shown, expected, strict=True)) < 30
    # Were they pushed at all?
    second = [np.flatnonzero(expected[number].max(axis=1) > 160) for number in (20, 26)]
    assert second[1].min() == second[0].min() < 60


async def test_fonts_that_every_encoder_has_stay_where_they_are(client: Client, tmp_path: Path, gray: Path) -> None:
    cues = media.srt(tmp_path / "c.srt", [(0, 1, "One")])
    request, files = stories.request_of([scene(gray, duracao=0.5)], url_srt=cues, **SIZE)
    planned = await client.encode(video_pb2.Operation(story=request), files)
    assert planned.summary is not None
    assert planned.summary.size_bytes < 10_000
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(io.BytesIO(planned.data)) as told, zipfile.ZipFile(other, "w") as changed:
        for name in told.namelist():
            changed.writestr(name, told.read(name).replace(b"a", b"b") if "installed" in name else told.read(name))
    task = encoder_pb2.Task(id="t", part=planned.summary.further[0].part)
    with pytest.raises(grpc.aio.AioRpcError, match="use encoders of one version") as caught:
        await client.encode(task, {"scenes[0].image_url": gray, "captions": other})
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_captions_of_words_alone(client: Client, tmp_path: Path, gray: Path) -> None:
    said = [("Hello", 0.5, 0.8), ("there.", 0.8, 1.0), ("Again.", 2.0, 2.5)]
    words = [caption_style_pb2.CaptionWord(text=text, start=start, end=end) for text, start, end in said]
    film = await stories.film(client, tmp_path, [scene(gray, duracao=1.5)] * 2, words=words, **SIZE)
    shown = judge.pictures(film.path, "gray")
    assert [int(shown[number].max()) > 160 for number in (6, 16, 22, 50, 70)] == [False, True, True, True, False]


async def test_text_in_the_request_and_faults_of_it(client: Client, tmp_path: Path, gray: Path) -> None:
    text = tmp_path / "text"
    text.write_text("1\n00:00:00,000 --> 00:00:09,000\nHello\n")
    style = caption_style_pb2.CaptionStyle(position=caption_style_pb2.CaptionStyle.POSITION_TOP)
    film = await stories.film(client, tmp_path, [scene(gray, duracao=1)], srt_text=text, style=style, **SIZE)
    picture = judge.pictures(film.path, "gray")[12]
    assert (int(picture[:45].max()) > 160, int(picture[45:].max()) < 100) == (True, True)
    assert film.reasons == ["CUES_CUT_SHORT"]
    text.write_text("no subtitles at all")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, [scene(gray, duracao=1)], srt_text=text, **SIZE)
    assert list(faults(caught)) == ["srt_text"]


async def test_all_bad_scenes_are_told_in_one_answer(client: Client, tmp_path: Path, gray: Path) -> None:
    broken, page, cut_off = tmp_path / "broken.mp4", tmp_path / "page.jpg", tmp_path / "cut.jpg"
    broken.write_bytes(b"no video" * 100)
    page.write_bytes(b"%PDF-1.7 no picture")
    whole = media.image(tmp_path / "whole.jpg").read_bytes()
    cut_off.write_bytes(whole[: len(whole) // 2])
    silent = media.grey_video(tmp_path / "silent.mp4", 1, "64x36")
    scenes = [
        scene(gray, duracao=1),
        scene(broken),
        scene(page, duracao=1),
        scene(cut_off, duracao=1),
        scene(gray, url_audio=silent),
        scene(silent, start=2),
        scene(gray, **{"from": 3, "to": 2}),
    ]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, scenes, **SIZE)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    told = faults(caught)
    assert list(told) == [
        "scenes[1].url_video",
        "scenes[2].image_url",
        "scenes[3].image_url",
        "scenes[4].url_audio",
        "scenes[5].start",
        "scenes[6].to",
    ]
    assert told["scenes[2].image_url"] == "it is a PDF; save it as PNG or JPEG, page by page."
    assert told["scenes[5].start"] == "the video ends at 1.000 s, before that; give less."
    assert str(caught.value.details()).startswith("scenes[1].url_video: the file is not a video")


async def test_hundreds_of_bad_scenes_fit_into_one_answer(client: Client, tmp_path: Path, gray: Path) -> None:
    page = tmp_path / "page.jpg"
    page.write_bytes(b"%PDF-1.7 no picture")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, [scene(page, duracao=1)] * 300, **SIZE)
    assert str(caught.value.details()).startswith("scenes[0].image_url: it is a PDF")
    assert len(faults(caught)) > 30


async def test_scenes_that_cannot_be_laid_out_are_named(client: Client, tmp_path: Path, gray: Path) -> None:
    scenes = [scene(gray, duracao=2), scene(gray, duracao=0.5, transition={"seconds": 1}), scene(gray, duracao=3)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, scenes, **SIZE)
    assert list(faults(caught)) == ["scenes[1].transition"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, [scene(gray, duracao=1), scene(gray), scene(gray)], **SIZE)
    assert list(faults(caught)) == ["scenes[1].duracao", "scenes[2].duracao"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, [scene(gray, duracao=1)], width=161, height=90)
    assert caught.value.details() == "width: 161 is odd, and H.264 takes even sizes; give 162."


async def test_what_the_film_lacks_is_told(client: Client, tmp_path: Path, gray: Path) -> None:
    clip, voice = media.grey_video(tmp_path / "clip.mp4", 1, "160x90"), media.tone(tmp_path / "voice.wav", 9)
    scenes = [scene(clip, duracao=2), scene(gray, **{"from": 3, "to": 5})]
    film = await stories.film(client, tmp_path, scenes, url_audio=voice, **SIZE)
    assert film.reasons == ["SCENE_HELD", "SCENE_OFF_NARRATION", "NARRATION_CUT"]
    held, off, cut = film.plan.warnings
    assert (held.metadata["fields"], held.metadata["seconds"]) == ("scenes[0].url_video", "1.000")
    assert (off.metadata["fields"], off.metadata["seconds"]) == ("scenes[1].from", "-1.000")
    assert (cut.metadata["fields"], cut.metadata["seconds"]) == ("url_audio", "5.000")
    assert judge.facts(film.path).frames == 96


async def test_options_of_music_that_is_not_there(client: Client, tmp_path: Path, gray: Path) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, [scene(gray, duracao=1)], soundtrack={"duck": True}, **SIZE)
    assert list(faults(caught)) == ["soundtrack.duck"]
    music = media.tone(tmp_path / "music.wav", 1)
    plan = await stories.plan(client, [scene(gray, duracao=1)], url_music=music, soundtrack={"duck": True}, **SIZE)
    assert [warning.reason for warning in plan.warnings] == ["NO_ORIGINAL_AUDIO"]


async def test_options_that_change_nothing_are_told(client: Client, tmp_path: Path, gray: Path) -> None:
    left = public_pb2.Transition.DIRECTION_LEFT
    scenes = [
        scene(gray, duracao=1, transition={**CROSSFADE, "direction": left}),
        scene(gray, duracao=1, transition={"kind": public_pb2.TRANSITION_KIND_CUT, "seconds": 1}),
        scene(gray, duracao=1, transition=CROSSFADE),
    ]
    plan = await stories.plan(
        client, scenes, transition=CROSSFADE, narration_gain=3, soundtrack={"fade_out": 1, "loudness": -14}, **SIZE
    )
    told = [(warning.reason, warning.metadata["fields"]) for warning in plan.warnings]
    names = ["scenes[0].transition.direction", "scenes[1].transition.seconds", "scenes[2].transition, transition"]
    names += ["narration_gain", "soundtrack.fade_out, soundtrack.loudness"]
    assert told == [("OPTION_IGNORED", name) for name in names]
    cut = {"kind": public_pb2.TRANSITION_KIND_CUT}
    slide = {"kind": public_pb2.TRANSITION_KIND_SLIDE, "direction": left}
    scenes = [scene(gray, duracao=2, transition=slide), scene(gray, duracao=2), scene(gray, duracao=2, transition=cut)]
    assert not (await stories.plan(client, scenes, transition=CROSSFADE, **SIZE)).warnings
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stories.plan(client, scenes, soundtrack={"mix": True}, **SIZE)
    assert list(faults(caught)) == ["soundtrack.mix"]


async def test_a_plan_of_500_scenes_is_small(client: Client, tmp_path: Path, gray: Path) -> None:
    voice = media.tone(tmp_path / "voice.wav", 1)
    scenes = [scene(gray, url_audio=voice, motion={"pan": 1}, transition=CROSSFADE)] * 500
    plan = await stories.plan(client, scenes, **SIZE)
    assert [task.kind for task in plan.further] == ["story.scene", "story.sound"] + ["story.scene"] * 499 + [
        "story.join"
    ]
    assert [task.is_result for task in plan.further].index(True) == 501
    assert sum(len(task.part) for task in plan.further) < 100_000
    assert plan.ByteSize() < 200_000
    part = story_pb2.StoryPart.FromString(plan.further[500].part).scene
    assert (part.picture.field, part.transition_frames) == ("scenes[499].image_url", 0)


async def test_pieces_are_made_alike_by_encoders_that_are_set_otherwise(
    client: Client, certs: Path, tmp_path: Path, gray: Path
) -> None:
    settings = {"X264_PRESET": "ultrafast", "CRF": 40}
    with encoder_harness.running(certs, tmp_path, settings) as other:
        async with other.client() as another:
            scenes = [scene(gray, duracao=0.5)] * 2
            film = await stories.film(client, tmp_path / "film", scenes, [another], **SIZE)
            part = story_pb2.StoryPart.FromString(film.plan.further[0].part).scene
    assert (part.x264_preset, part.x264_crf) == ("veryfast", 23)
    assert judge.facts(film.path).frames == 24


async def test_pieces_that_do_not_fit_together_are_refused(client: Client, tmp_path: Path, gray: Path) -> None:
    scenes = [scene(gray, duracao=0.5), scene(gray, duracao=0.5)]
    film = await stories.film(client, tmp_path, scenes, **SIZE)
    other = await stories.film(client, tmp_path / "other", scenes[:1], width=160, height=90, frame_rate=25)
    join = film.plan.further[-1]
    pieces: dict[str, Path | bytes] = {"pieces[0]": film.files["scene 1"], "pieces[1]": other.files["scene 1"]}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(encoder_pb2.Task(id="join", part=join.part), pieces)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "the pieces of the film do not fit together" in str(caught.value.details())


async def test_a_task_keeps_to_its_codec(client: Client, gray: Path) -> None:
    plan = await stories.plan(client, [scene(gray, duracao=1)], **SIZE)
    first = plan.further[0]
    assert first.codec == "x264"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(encoder_pb2.Task(id="t", part=first.part, codec="nvenc"), {"scenes[0].image_url": gray})
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert os.fspath(gray) not in str(caught.value.details())


async def test_a_part_that_cannot_be_is_refused(client: Client, gray: Path) -> None:
    plan = await stories.plan(client, [scene(gray, duracao=1)], **SIZE)
    part = story_pb2.StoryPart.FromString(plan.further[0].part)
    for change in (
        lambda scene_part: scene_part.film.ClearField("rate_seconds"),
        lambda scene_part: setattr(scene_part, "x264_preset", "fast:threads=900"),
        lambda scene_part: setattr(scene_part.picture, "background", "red:eval=frame"),
        lambda scene_part: setattr(scene_part.film, "width", 161),
    ):
        changed = story_pb2.StoryPart.FromString(part.SerializeToString())
        change(changed.scene)
        task = encoder_pb2.Task(id="t", part=changed.SerializeToString())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.encode(task, {"scenes[0].image_url": gray})
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(encoder_pb2.Task(id="t", part=b"\x22\x00"), {})
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
