"""Sound in many channels, at high rates, with chapters, or hardly any: what becomes of it, by decoding."""

from pathlib import Path

import av
import grpc
import numpy as np
import pytest

from apigpu.v1 import soundtrack_pb2, video_pb2
from tests.support import encoder_harness, judge, media

Client = encoder_harness.Client
CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
ADDAUDIO = video_pb2.Operation(addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a"))
MIX = video_pb2.Operation(
    addaudio=video_pb2.AddAudioRequest(url_video="v", url_audio="a", soundtrack=soundtrack_pb2.Soundtrack(mix=True))
)
PICTURE = ("-f", "lavfi", "-i", "color=s=64x36:r=25:d=0.6", "-c:v", "libx264", "-preset", "ultrafast")


def many(channels: int, rate: int = 48_000) -> tuple[str, ...]:
    """Input options of sound that has another tone in each channel."""
    tones = "|".join(f"0.3*sin(2*PI*{hertz(number)}*t)" for number in range(channels))
    return ("-f", "lavfi", "-i", f"aevalsrc=exprs={tones}:s={rate}:d=0.6")


def hertz(number: int) -> int:
    return 300 + 150 * number


def tones(path: Path, channels: int) -> list[tuple[float, float]]:
    """How loud each tone is at the left and at the right, of full scale."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].sample_rate
    sound = np.concatenate(frames, axis=1)[:, rate // 10 : rate // 2]
    waves = [np.exp(-2j * np.pi * hertz(n) * np.arange(sound.shape[1]) / rate) for n in range(channels)]
    return [tuple(2 * abs(np.mean(side * wave * np.hanning(len(wave)) * 2)) for side in sound) for wave in waves]


def shape(path: Path) -> tuple[str, str, int]:
    """Codec, layout and rate of the sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return stream.codec.canonical_name, stream.layout.name, stream.sample_rate


@pytest.fixture(scope="module")
def cues(media_dir: Path) -> Path:
    """A caption that ends before any of the videos here."""
    return media.srt(media_dir / "brief.srt", [(0.0, 0.1, "Hello there")])


def reasons(summary: encoder_harness.encoder_pb2.Summary) -> list[str]:
    return [warning.reason for warning in summary.warnings]


@pytest.mark.parametrize(("channels", "ending"), [(12, "mov"), (16, "mov"), (10, "mkv")])
async def test_many_channels_are_all_heard_in_stereo(
    client: Client, cues: Path, gray: Path, tmp_path: Path, channels: int, ending: str
) -> None:
    video, out = tmp_path / f"v.{ending}", tmp_path / "o.mp4"
    media.run(
        *PICTURE[:4], *many(channels), *PICTURE[4:], "-c:a", "pcm_s16le", "-metadata:s:a:0", "language=fra", video
    )
    for operation, inputs in (
        (CAPTION, {"url_video": video, "url_srt": cues}),
        (ADDAUDIO, {"url_video": gray, "url_audio": video}),
        (MIX, {"url_video": gray, "url_audio": video}),
    ):
        summary = await client.result(out, operation, inputs)
        assert shape(out) == ("aac", "stereo", 48_000)
        heard = tones(out, channels)
        assert all(max(sides) > 0.05 for sides in heard), heard
        assert min(heard[0][0], heard[1][1]) > 2 * max(
            heard[0][1], heard[1][0]
        )  # front left and right keep their sides
        assert "AUDIO_MIXED_DOWN" in reasons(summary)
        told = next(warning for warning in summary.warnings if warning.reason == "AUDIO_MIXED_DOWN")
        assert told.metadata["channels"] == str(channels)


async def test_joined_videos_keep_all_channels(client: Client, clip: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "v.mov", tmp_path / "o.mp4"
    media.run(*PICTURE[:4], *many(16), *PICTURE[4:], "-c:a", "pcm_s16le", video)
    request = video_pb2.Operation(concat=video_pb2.ConcatRequest(url_videos=["v", "w"]))
    summary = await client.result(out, request, {"url_videos[0]": video, "url_videos[1]": clip})
    assert all(max(sides) > 0.05 for sides in tones(out, 16))
    assert [(w.reason, w.metadata["fields"]) for w in summary.warnings] == [("AUDIO_MIXED_DOWN", "url_videos[0]")]


async def test_high_rates_become_48_khz(client: Client, cues: Path, gray: Path, tmp_path: Path) -> None:
    video, out = tmp_path / "v.mkv", tmp_path / "o.mp4"
    media.run(*PICTURE[:4], *many(2, 96_000), *PICTURE[4:], "-c:a", "flac", video)
    for operation, inputs in (
        (CAPTION, {"url_video": video, "url_srt": cues}),
        (ADDAUDIO, {"url_video": gray, "url_audio": video}),
    ):
        summary = await client.result(out, operation, inputs)
        assert shape(out) == ("aac", "stereo", 48_000)
        assert reasons(summary) == ["AUDIO_RESAMPLED"]
        assert all(max(sides) > 0.2 for sides in tones(out, 2))


async def test_aac_of_a_high_rate_is_not_copied(client: Client, gray: Path, tmp_path: Path) -> None:
    audio, out = tmp_path / "a.m4a", tmp_path / "o.mp4"
    media.run(*many(2, 96_000), "-c:a", "aac", "-b:a", "128k", audio)
    await client.result(out, ADDAUDIO, {"url_video": gray, "url_audio": audio})
    assert shape(out)[2] == 48_000


async def test_sound_shorter_than_a_picture_is_refused_unless_it_is_mixed_in(
    client: Client, clip: Path, tmp_path: Path
) -> None:
    blip, out = media.tone(tmp_path / "a.wav", 0.02), tmp_path / "o.mp4"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(ADDAUDIO, {"url_video": clip, "url_audio": blip})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith("url_audio: ")
    assert "less than one picture" in (caught.value.details() or "")
    await client.result(out, MIX, {"url_video": clip, "url_audio": blip})
    assert judge.facts(out).frames == 50


async def test_chapters_and_names_are_those_of_the_video(client: Client, cues: Path, tmp_path: Path) -> None:
    told, book, video = tmp_path / "told.txt", tmp_path / "book.m4b", tmp_path / "v.mp4"
    parts = "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n * 200}\nEND={n * 200 + 200}\ntitle=P{n}\n" for n in range(3))
    told.write_text(f";FFMETADATA1\ntitle=Told\n{parts}")
    chapters = ("-i", told, "-map", "0", "-map_metadata", "1", "-map_chapters", "1")
    media.run("-f", "lavfi", "-i", "sine=d=0.6", *chapters, "-c:a", "aac", book)
    media.run(*PICTURE[:4], *chapters, *PICTURE[4:], video)
    plain = media.grey_video(tmp_path / "plain.mp4", 0.6, "64x36", 25, "-metadata", "title=Plain")
    for given, operation, inputs, chaptered, title in (
        ("book", ADDAUDIO, {"url_video": plain, "url_audio": book}, 0, "Plain"),
        ("book mixed", MIX, {"url_video": plain, "url_audio": book}, 0, "Plain"),
        ("video", ADDAUDIO, {"url_video": video, "url_audio": book}, 3, "Told"),
        ("captioned", CAPTION, {"url_video": video, "url_srt": cues}, 3, "Told"),
    ):
        out = tmp_path / "o.mp4"
        await client.result(out, operation, inputs)
        with av.open(str(out)) as container:
            assert (given, len(container.chapters()), container.metadata.get("title")) == (given, chaptered, title)
