"""addaudio, judged by decoding: which sound, how long, and that the picture is the same."""

from pathlib import Path

import grpc
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
Client = encoder_harness.Client


async def added(client: Client, out: Path, video: Path, audio: Path) -> str:
    """Run it; the codec that the summary names."""
    return (await client.result(out, ADDAUDIO, {"url_video": video, "url_audio": audio})).codec


async def test_the_sound_is_replaced_and_the_picture_copied(
    client: Client, clip: Path, sound: Path, tmp_path: Path
) -> None:
    assert await added(client, tmp_path / "o.mp4", clip, sound) == "copy"
    facts = judge.facts(tmp_path / "o.mp4")
    assert facts.audio == ("aac",)
    assert judge.pitch(tmp_path / "o.mp4") == pytest.approx(880, abs=5)
    before, after = judge.pictures(clip), judge.pictures(tmp_path / "o.mp4")
    assert len(before) == len(after)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    assert judge.moov_first(tmp_path / "o.mp4")


async def test_audio_is_at_192_kbit(client: Client, tmp_path: Path) -> None:
    # Noise in stereo takes what it is given; a tone would not.
    noise = tmp_path / "noise.wav"
    media.run("-f", "lavfi", "-i", "anoisesrc=d=4:a=0.5", "-ac", "2", noise)
    video = media.grey_video(tmp_path / "v.mp4", 4)
    await added(client, tmp_path / "o.mp4", video, noise)
    loud, still = (tmp_path / "o.mp4").stat().st_size, video.stat().st_size
    assert (loud - still) * 8 / 4 == pytest.approx(192_000, rel=0.1)


async def test_a_video_without_sound_gets_one(client: Client, gray: Path, sound: Path, tmp_path: Path) -> None:
    assert await added(client, tmp_path / "o.mp4", gray, sound) == "copy"
    facts = judge.facts(tmp_path / "o.mp4")
    assert facts.seconds == pytest.approx(2, abs=0.05)
    assert facts.audio_seconds == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("ending", ["wav", "mp3", "m4a", "ogg", "flac", "aac"])
async def test_longer_audio_is_cut_to_the_video(client: Client, clip: Path, tmp_path: Path, ending: str) -> None:
    await added(client, tmp_path / "o.mp4", clip, media.tone(tmp_path / f"a.{ending}", 5))
    facts = judge.facts(tmp_path / "o.mp4")
    assert facts.frames == 50
    assert facts.seconds == pytest.approx(2, abs=0.05)
    assert facts.audio_seconds == pytest.approx(2, abs=0.05)


KINDS = {
    "closed": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "12"],
    "open": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "12", "-x264-params", "open-gop=1"],
    "pyramid": ["-c:v", "libx264", "-preset", "medium", "-bf", "8", "-b-pyramid", "normal", "-b_strategy", "0"],
    "hevc": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:bframes=4"],
    "mpeg4": ["-c:v", "mpeg4", "-bf", "2"],
    "ten-bit": ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-pix_fmt", "yuv420p10le"],
    "vp9": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_video_is_cut_to_the_frame_wherever_the_audio_ends(client: Client, tmp_path: Path, kind: str) -> None:
    """Not one frame short or long, though the last one may need others that are shown after the cut."""
    video = media.video(tmp_path / "b.mp4", 2, "160x90", 25, True, *KINDS[kind])
    before = judge.pictures(video)
    for milliseconds in (1000, 1019, 1040, 1061, 1100, 1130, 1170, 1200, 1245, 1280):
        audio = media.tone(tmp_path / "a.wav", milliseconds / 1000)
        out = tmp_path / "o.mp4"
        assert await added(client, out, video, audio) == "copy"
        facts, after = judge.facts(out), judge.pictures(out)
        assert len(after) == -(-milliseconds // 40), milliseconds
        assert np.allclose(np.diff(facts.times), 0.04, atol=0.001)
        assert facts.times[0] == pytest.approx(0, abs=0.001)
        assert facts.seconds == pytest.approx(milliseconds / 1000, abs=0.002)
        assert facts.audio_seconds == pytest.approx(milliseconds / 1000, abs=0.03)
        assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=False))


@pytest.mark.parametrize("ending", ["mkv", "mov", "ts", "flv"])
async def test_the_cut_is_to_the_frame_from_any_container(client: Client, tmp_path: Path, ending: str) -> None:
    video = media.video(tmp_path / f"b.{ending}", 2, "160x90", 25, False, *KINDS["closed"])
    audio = media.tone(tmp_path / "a.wav", 1.1)
    assert await added(client, tmp_path / "o.mp4", video, audio) == "copy"
    before, after = judge.pictures(video), judge.pictures(tmp_path / "o.mp4")
    assert len(after) == 28
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=False))
    assert judge.facts(tmp_path / "o.mp4").times[0] == pytest.approx(0, abs=0.001)


async def test_a_video_with_an_edit_list_of_its_own_is_cut_where_it_is_shown(client: Client, tmp_path: Path) -> None:
    """Copied from the middle: what is decoded but not shown stays hidden, and does not count."""
    whole, part = media.video(tmp_path / "b.mp4", 4, "160x90", 25, True, *KINDS["closed"]), tmp_path / "part.mp4"
    media.run("-ss", "1.3", "-i", whole, "-c", "copy", part)
    audio = media.tone(tmp_path / "a.wav", 1.1)
    assert await added(client, tmp_path / "o.mp4", part, audio) == "copy"
    before, after = judge.pictures(part), judge.pictures(tmp_path / "o.mp4")
    assert len(after) == 28
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=False))


@pytest.mark.parametrize("ending", ["m4a", "mp3", "aac", "ogg", "flac"])
async def test_the_sound_keeps_its_place(client: Client, gray: Path, tmp_path: Path, ending: str) -> None:
    """A click at half a second is heard at half a second, copied or encoded, padded or not."""
    audio, out = tmp_path / f"a.{ending}", tmp_path / "o.mp4"
    media.run("-f", "lavfi", "-i", "aevalsrc='if(between(t,0.5,0.51),0.9,0)':s=48000:d=1.5", audio)
    await added(client, out, gray, audio)
    heard = [np.abs(judge.samples(path)).argmax() / judge.RATE for path in (audio, out)]
    assert heard[1] == pytest.approx(heard[0], abs=0.012)


async def test_the_audio_of_a_video_serves(client: Client, gray: Path, clip: Path, tmp_path: Path) -> None:
    await added(client, tmp_path / "o.mp4", gray, clip)
    assert judge.pitch(tmp_path / "o.mp4") == pytest.approx(440, abs=5)


async def test_a_codec_that_mp4_cannot_hold_is_encoded(client: Client, sound: Path, tmp_path: Path) -> None:
    video = tmp_path / "v.webm"
    media.run("-f", "lavfi", "-i", "testsrc2=size=321x181:d=1", "-c:v", "libvpx", "-deadline", "realtime", video)
    assert await added(client, tmp_path / "o.mp4", video, sound) == "x264"
    facts = judge.facts(tmp_path / "o.mp4")
    assert (facts.codec, facts.frames, facts.width, facts.height) == ("h264", 25, 320, 180)
    assert facts.audio_seconds == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "copy"), ("ts", "copy"), ("flv", "copy"), ("avi", "x264")])
async def test_other_containers(client: Client, sound: Path, tmp_path: Path, ending: str, codec: str) -> None:
    # B-frames in AVI have no times of their own: there a copy would be refused by MP4.
    video = media.video(tmp_path / f"v.{ending}", 1, "320x180", 25, True, "-preset", "veryfast")
    assert await added(client, tmp_path / "o.mp4", video, sound) == codec
    facts = judge.facts(tmp_path / "o.mp4")
    assert facts.frames == 25
    assert facts.seconds == pytest.approx(1, abs=0.1)
    assert facts.audio_seconds == pytest.approx(1, abs=0.1)
    assert judge.pitch(tmp_path / "o.mp4") == pytest.approx(880, abs=5)


async def test_rotation_survives_the_copy(client: Client, clip: Path, sound: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.mp4"
    media.run("-display_rotation", "90", "-i", clip, "-c", "copy", turned)
    assert await added(client, tmp_path / "o.mp4", turned, sound) == "copy"
    facts = judge.facts(tmp_path / "o.mp4")
    assert (facts.width, facts.height) == (180, 320)


async def test_what_does_not_serve_is_refused_by_field(client: Client, clip: Path, gray: Path, sound: Path) -> None:
    playlist = f"#EXTM3U\n#EXTINF:2,\nfile://{sound}\n#EXT-X-ENDLIST\n".encode()
    cases: list[tuple[Path | bytes, Path | bytes, str]] = [
        (sound, sound, "url_video"),
        (b"no video", sound, "url_video"),
        (clip, gray, "url_audio"),
        (clip, b"no audio", "url_audio"),
        (clip, playlist, "url_audio"),
        # Names the other input, which FFmpeg would take for safe: only the list of demuxers stands between.
        (b"ffconcat version 1.0\nfile input1\n", clip, "url_video"),
        (clip, clip.read_bytes()[:2000], "url_audio"),
    ]
    for video, audio, field in cases:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.encode(ADDAUDIO, {"url_video": video, "url_audio": audio})
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (caught.value.details() or "").startswith(f"{field}: ")
