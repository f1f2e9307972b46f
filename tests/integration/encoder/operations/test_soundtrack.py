"""addaudio's options, judged by what is heard: tones found in the decoded sound, their levels and times."""

from pathlib import Path
from typing import Any

import av
import grpc
import numpy as np
import pytest

from apigpu.v1 import soundtrack_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
OWN, MUSIC = 440, 880
"""Hz of the video's own sound and of the soundtrack."""


def adding(**options: Any) -> video_pb2.Operation:
    request = video_pb2.AddAudioRequest(url_video="v", url_audio="a", soundtrack=soundtrack_pb2.Soundtrack(**options))
    return video_pb2.Operation(addaudio=request)


async def heard(client: Client, video: Path, audio: Path, out: Path, **options: Any) -> np.ndarray:
    """The sound of the result, mono at 48 kHz; its picture is copied."""
    summary = await client.result(out, adding(**options), {"url_video": video, "url_audio": audio})
    assert summary.codec == "copy"
    return judge.samples(out)


def level(sound: np.ndarray, hertz: float, start: float, end: float) -> float:
    """Amplitude of one frequency between two times, dB of full scale."""
    part = sound[round(start * judge.RATE) : round(end * judge.RATE)]
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / judge.RATE)
    return float(20 * np.log10(max(2 * abs(np.mean(part * wave * np.hanning(len(part)) * 2)), 1e-6)))


@pytest.fixture(scope="module")
def music(media_dir: Path) -> Path:
    """Three seconds of tone."""
    return media.tone(media_dir / "music.wav", 3, MUSIC)


async def test_mixing_keeps_both(client: Client, clip: Path, music: Path, tmp_path: Path) -> None:
    sound = await heard(client, clip, music, tmp_path / "o.mp4", mix=True, original_gain=-6, gain=-12)
    alone = judge.samples(clip)
    assert level(sound, OWN, 0.5, 1.5) == pytest.approx(level(alone, OWN, 0.5, 1.5) - 6, abs=0.5)
    assert level(sound, MUSIC, 0.5, 1.5) == pytest.approx(level(judge.samples(music), MUSIC, 0.5, 1.5) - 12, abs=0.5)


async def test_a_mix_is_as_long_as_the_video(client: Client, clip: Path, tmp_path: Path) -> None:
    short = media.tone(tmp_path / "short.wav", 0.5, MUSIC)
    sound = await heard(client, clip, short, tmp_path / "o.mp4", mix=True)
    assert judge.facts(tmp_path / "o.mp4").frames == 50
    assert level(sound, MUSIC, 0.1, 0.4) > -30 > level(sound, MUSIC, 1, 1.8)
    assert level(sound, OWN, 1, 1.8) > -30


async def test_a_mix_with_a_silent_video_is_told(client: Client, gray: Path, music: Path, tmp_path: Path) -> None:
    inputs = {"url_video": gray, "url_audio": music}
    summary = await client.result(tmp_path / "o.mp4", adding(mix=True), inputs)
    assert [warning.reason for warning in summary.warnings] == ["NO_ORIGINAL_AUDIO"]
    assert level(judge.samples(tmp_path / "o.mp4"), MUSIC, 0.5, 1.5) > -30


async def test_a_mix_keeps_the_language_and_tells_of_tracks_that_it_leaves_out(
    client: Client, clip: Path, music: Path, tmp_path: Path
) -> None:
    video, out = tmp_path / "two.mp4", tmp_path / "o.mp4"
    languages = ("-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=fra")
    media.run("-i", clip, "-i", music, "-map", "0", "-map", "1", *languages, "-c:v", "copy", "-t", "1", video)
    summary = await client.result(out, adding(mix=True), {"url_video": video, "url_audio": music})
    assert [warning.reason for warning in summary.warnings] == ["OTHER_AUDIO_DROPPED"]
    with av.open(str(out)) as container:
        assert [stream.language for stream in container.streams.audio] == ["ger"]
    replaced = await client.result(out, adding(gain=-1), {"url_video": video, "url_audio": music})
    assert not replaced.warnings


async def test_music_gives_way_to_speech(client: Client, tmp_path: Path, music: Path) -> None:
    video = tmp_path / "speech.mp4"
    speech = f"aevalsrc='0.3*sin(2*PI*{OWN}*t)*between(t,1,2)':d=3:s=48000"
    picture = ("-f", "lavfi", "-i", "color=s=64x36:r=25:d=3")
    media.run(*picture, "-f", "lavfi", "-i", speech, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", video)
    sound = await heard(client, video, music, tmp_path / "o.mp4", mix=True, duck=True)
    before, under, after = (level(sound, MUSIC, *when) for when in ((0.2, 0.9), (1.2, 1.9), (2.6, 2.95)))
    assert before - under > 6
    assert after == pytest.approx(before, abs=1.5)


async def test_fades(client: Client, gray: Path, music: Path, tmp_path: Path) -> None:
    sound = await heard(client, gray, music, tmp_path / "o.mp4", fade_in=0.8, fade_out=0.8)
    full = level(sound, MUSIC, 0.9, 1.1)
    assert level(sound, MUSIC, 0, 0.1) < full - 20
    assert level(sound, MUSIC, 0.35, 0.45) == pytest.approx(full - 6, abs=1.5)
    assert level(sound, MUSIC, 1.55, 1.65) == pytest.approx(full - 6, abs=1.5)
    assert level(sound, MUSIC, 1.9, 2.0) < full - 18


async def test_a_loop_has_no_seam(client: Client, gray: Path, tmp_path: Path) -> None:
    # 0.5 s hold 440 waves: looped, the tone goes on as one.
    short = media.tone(tmp_path / "short.wav", 0.5, MUSIC)
    sound = await heard(client, gray, short, tmp_path / "o.mp4", loop=True)
    assert judge.facts(tmp_path / "o.mp4").frames == 50
    whole = level(sound, MUSIC, 0.05, 1.95)
    assert whole == pytest.approx(level(sound, MUSIC, 0.1, 0.4), abs=0.2)
    assert all(level(sound, MUSIC, at, at + 0.05) == pytest.approx(whole, abs=0.5) for at in (0.48, 0.98, 1.48, 1.9))


async def test_start_and_delay_move_the_music(client: Client, gray: Path, tmp_path: Path) -> None:
    audio = tmp_path / "a.wav"
    beep = f"aevalsrc='0.5*sin(2*PI*{MUSIC}*t)*between(t,1,1.2)':d=3:s=48000"
    media.run("-f", "lavfi", "-i", beep, audio)
    sound = await heard(client, gray, audio, tmp_path / "o.mp4", start=0.75, delay=0.5)
    loud = np.flatnonzero(np.abs(sound) > 0.1) / judge.RATE
    assert loud[0] == pytest.approx(0.75, abs=0.04)
    assert loud[-1] == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("lufs", [-14.0, -23.0])
@pytest.mark.parametrize("mix", [False, True])
async def test_loudness(client: Client, clip: Path, tmp_path: Path, lufs: float, mix: bool) -> None:
    noise = tmp_path / "noise.wav"
    media.run("-f", "lavfi", "-i", "anoisesrc=d=3:c=pink:a=0.05:seed=1", "-ac", "2", noise)
    await heard(client, clip, noise, tmp_path / "o.mp4", loudness=lufs, mix=mix)
    assert loudness(tmp_path / "o.mp4") == pytest.approx(lufs, abs=0.6)
    assert np.abs(judge.samples(tmp_path / "o.mp4")).max() < 1


def loudness(path: Path) -> float:
    """Integrated loudness, LUFS, by FFmpeg's own meter."""
    with av.open(str(path)) as container:
        graph = av.filter.Graph()
        source = graph.add_abuffer(template=container.streams.audio[0])
        meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
        graph.link_nodes(source, meter, sink).configure()
        told = 0.0
        for frame in container.decode(audio=0):
            graph.push(frame)
            while True:
                try:
                    told = float(graph.pull().metadata["lavfi.r128.I"])
                except (av.BlockingIOError, KeyError):
                    break
        return told


async def test_small_aac_is_copied(client: Client, gray: Path, tmp_path: Path) -> None:
    aac = media.tone(tmp_path / "a.m4a", 5, MUSIC, "-c:a", "aac", "-b:a", "96k")
    await heard(client, gray, aac, tmp_path / "o.mp4")
    before, after = packets(aac), packets(tmp_path / "o.mp4")
    assert len(after) > 80
    assert before[: len(after)] == after


def packets(path: Path) -> list[bytes]:
    """The packets of the first audio stream."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("duck", {"duck": True}),
        ("original_gain", {"original_gain": -3}),
        ("start", {"start": 3.5}),
        ("delay", {"delay": 2.5}),
        ("loop", {"loop": True, "start": 2.95}),
        ("fade_out", {"fade_in": 1.5, "fade_out": 1.5}),
    ],
)
async def test_what_contradicts_is_refused(
    client: Client, gray: Path, music: Path, field: str, options: dict[str, Any]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(adding(**options), {"url_video": gray, "url_audio": music})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(f"soundtrack.{field}: ")
