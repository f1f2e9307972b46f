"""Pictures that stand for long, as of screen recordings and podcasts: captions come and go in time, all else stays."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from apigpu.v1 import caption_style_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
SIZE = "320x180"
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
CUES = [(1.3, 2.7, "First words"), (6.1, 6.9, "Second"), (12.0, 14.2, "At the very end")]


def shown(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """When pictures begin, by a player's clock, and the pictures, in gray."""
    with av.open(str(path)) as container:
        start = 0.0 if container.format.name.startswith("mov") else (container.start_time or 0) / av.time_base
        frames = list(container.decode(video=0))
    return [float(frame.time or 0) - start for frame in frames], [frame.to_ndarray(format="gray") for frame in frames]


def at(path: Path, seconds: float) -> np.ndarray:
    """What a player shows at a time."""
    times, pictures = shown(path)
    return pictures[max(n for n, time in enumerate(times) if time <= seconds + 1e-6)]


def is_captioned(picture: np.ndarray) -> bool:
    return bool((picture[100:] > 180).sum() > 20)


def has_times_of(path: Path, source: Path, within: float = 0.0011) -> bool:
    """Whether a result has a picture at each time of its source."""
    times = np.array(shown(path)[0])
    return all(np.abs(times - time).min() < within for time in shown(source)[0])


def podcast(path: Path, rate: str = "1/5", *options: str) -> Path:
    """Fifteen seconds of a few dark pictures, with a tone."""
    inputs = ("-f", "lavfi", "-i", f"color=0x303030:s={SIZE}:r={rate}:d=15", "-f", "lavfi", "-i", "sine=d=15")
    media.run(*inputs, *(options or H264), "-c:a", "aac", path)
    return path


KINDS = {
    "mp4": H264,
    "mkv": H264,
    "ts": H264,
    "webm": ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"),
    "fragmented.mp4": (*H264, "-movflags", "+frag_keyframe+empty_moov+delay_moov"),
}


@pytest.mark.parametrize("ending", KINDS)
async def test_captions_come_and_go_between_pictures(client: Client, tmp_path: Path, ending: str) -> None:
    options = KINDS[ending] if ending != "webm" else (*KINDS[ending], "-c:a", "libopus")
    video, out = tmp_path / f"v.{ending}", tmp_path / "o.mp4"
    inputs = ("-f", "lavfi", "-i", f"color=0x303030:s={SIZE}:r=1/5:d=15", "-f", "lavfi", "-i", "sine=d=15")
    media.run(*inputs, "-c:a", "aac", *options, video)
    cues = media.srt(tmp_path / "s.srt", CUES)
    summary = await client.result(out, CAPTION, {"url_video": video, "url_srt": cues})
    for start, end, _ in CUES:
        seen = [is_captioned(at(out, time)) for time in (start - 0.1, start + 0.1, end - 0.1, end + 0.1)]
        assert seen == [False, True, True, False], (start, end)
    assert has_times_of(out, video)
    times = shown(out)[0]
    assert len(times) == len(shown(video)[0]) + 6 == summary.frames
    assert all(b - a > 0.01 for a, b in pairwise(times))
    after = judge.facts(out)
    assert after.seconds == pytest.approx(15, abs=0.1)
    assert after.audio_seconds == pytest.approx(15, abs=0.1)


async def test_a_result_in_fragments_does_the_same(client: Client, tmp_path: Path) -> None:
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", container=video_pb2.CONTAINER_FRAGMENTED_MP4)
    video, out = podcast(tmp_path / "v.mp4"), tmp_path / "o.mp4"
    cues = media.srt(tmp_path / "s.srt", CUES)
    await client.result(out, video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    for start, end, _ in CUES:
        seen = [is_captioned(at(out, time)) for time in (start - 0.1, start + 0.1, end - 0.1, end + 0.1)]
        assert seen == [False, True, True, False], (start, end)


async def test_a_screen_recording_stays_in_step(client: Client, tmp_path: Path) -> None:
    """Pictures at 30 a second while something moves, and none while nothing does; a flash and a beep at 4 seconds."""
    video, out = tmp_path / "v.mkv", tmp_path / "o.mp4"
    moving = "if(lt(N,30),N/30,if(lt(N,60),4+(N-30)/30,9+(N-60)/30))"
    flash = f"drawbox=w=320:h=40:color=white:t=fill:enable='between(n,30,33)',settb=1/1000,setpts='({moving})/TB'"
    picture = f"color=0x303030:s={SIZE}:r=30:d=3,{flash}"
    beep = "aevalsrc='if(between(t,4,4.1),0.7*sin(2*PI*1000*t),0)':s=48000:d=10"
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "1:1000")
    media.run("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", beep, *timing, *H264, "-c:a", "aac", video)
    cues = media.srt(
        tmp_path / "s.srt", [(0.5, 2.25, "Some words"), (6, 7.5, "More of them"), (9.2, 9.6, "The very end")]
    )
    await client.result(out, CAPTION, {"url_video": video, "url_srt": cues})
    assert has_times_of(out, video)
    for start, end in ((0.5, 2.25), (6, 7.5), (9.2, 9.6)):
        seen = [is_captioned(at(out, time)) for time in (start - 0.1, start + 0.1, end - 0.1, end + 0.1)]
        assert seen == [False, True, True, False], (start, end)
    times, pictures = shown(out)
    flashes = next(time for time, one in zip(times, pictures, strict=True) if one[:30].mean() > 150)
    sound = np.abs(judge.samples(out))
    assert flashes == pytest.approx(4, abs=0.01)
    assert np.flatnonzero(sound > 0.2)[0] / judge.RATE == pytest.approx(4, abs=0.03)
    assert len(times) == 90 + 3  # the end of the first, start and end of the second


async def test_words_light_up_one_by_one_over_a_still_picture(client: Client, tmp_path: Path) -> None:
    style = caption_style_pb2.CaptionStyle(preset=caption_style_pb2.CaptionStyle.PRESET_KARAOKE)
    words = [
        caption_style_pb2.CaptionWord(text=text, start=n, end=n + 1) for n, text in enumerate(("AAA", "BBB", "CCC"), 1)
    ]
    request = video_pb2.CaptionRequest(url_video="v", url_srt="s", style=style, words=words)
    video, out = podcast(tmp_path / "v.mp4"), tmp_path / "o.mp4"
    cues = media.srt(tmp_path / "s.srt", [(1, 4, "AAA BBB CCC")])
    await client.result(out, video_pb2.Operation(caption=request), {"url_video": video, "url_srt": cues})
    with av.open(str(out)) as container:
        frames = {
            round(frame.time or 0, 2): frame.to_ndarray(format="rgb24").astype(int)
            for frame in container.decode(video=0)
        }
    lit = []
    for second in (1, 2, 3):
        frame = frames[min(frames, key=lambda time: abs(time - second))]
        yellow = frame[:, :, 0] - frame[:, :, 2] > 60
        lit.append(float(np.nonzero(yellow)[1].mean()))
    assert lit[0] < lit[1] < lit[2]


async def test_a_script_that_fades_is_drawn_while_it_does(client: Client, tmp_path: Path) -> None:
    head = "[Script Info]\nPlayResX: 320\nPlayResY: 180\n\n[V4+ Styles]\n"
    style = "Format: Name, Fontname, Fontsize, PrimaryColour, Alignment\nStyle: Default,Arial,30,&H00FFFFFF,2\n"
    head += f"{style}\n[Events]\nFormat: Start, End, Style, Text\n"
    event = "Dialogue: 0:00:01.00,0:00:03.00,Default,{\\fad(1000,0)}HHHHHH\n"
    video, out = podcast(tmp_path / "v.mp4"), tmp_path / "o.mp4"
    await client.result(out, CAPTION, {"url_video": video, "url_srt": (head + event).encode()})
    levels = [int(at(out, time)[100:].max()) for time in (0.9, 1.25, 1.5, 1.75, 2.5, 3.1)]
    assert levels[0] < 80
    assert levels[0] < levels[1] < levels[2] < levels[3] <= levels[4] + 5
    assert levels[5] < 80


async def test_a_usual_video_has_no_picture_more(client: Client, clip: Path, cues: Path, tmp_path: Path) -> None:
    await client.result(tmp_path / "o.mp4", CAPTION, {"url_video": clip, "url_srt": cues})
    assert judge.facts(tmp_path / "o.mp4").times == judge.facts(clip).times


async def test_short_captions_leave_the_length_as_it_is(client: Client, tmp_path: Path) -> None:
    slow, out = tmp_path / "slow.mp4", tmp_path / "o.mp4"
    media.run("-f", "lavfi", "-i", f"testsrc2=s={SIZE}:r=2:d=2", *H264, slow)
    for cues in ([(0.1, 0.12, "Blink")], [(0.1, 0.3, "Short")], [(0.6, 0.62, "Blink"), (1.7, 1.9, "At the end")]):
        await client.result(out, CAPTION, {"url_video": slow, "url_srt": media.srt(tmp_path / "s.srt", cues)})
        assert judge.facts(out).seconds == pytest.approx(2, abs=0.01), cues
        assert has_times_of(out, slow)
