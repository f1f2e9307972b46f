"""caption, judged by decoding: what is drawn where and when, and that all else stays as it was."""

from pathlib import Path

import grpc
import numpy as np
import pytest

from apigpu.v1 import video_pb2
from tests.support import encoder_harness, judge, media

CAPTION = video_pb2.Operation(caption=video_pb2.CaptionRequest(url_video="v", url_srt="s"))
Client = encoder_harness.Client


async def captioned(client: Client, out: Path, video: Path, cues: Path | bytes) -> Path:
    await client.result(out, CAPTION, {"url_video": video, "url_srt": cues})
    return out


async def refusal(client: Client, video: Path | bytes, cues: Path | bytes) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.encode(CAPTION, {"url_video": video, "url_srt": cues})
    return caught.value


async def test_words_stand_at_the_bottom_while_their_cue_lasts(
    client: Client, gray: Path, cues: Path, tmp_path: Path
) -> None:
    shown = judge.pictures(await captioned(client, tmp_path / "o.mp4", gray, cues))
    marks = [judge.differing(one, other) for one, other in zip(shown, judge.pictures(gray), strict=True)]
    lit = [number for number, mark in enumerate(marks) if mark.any()]
    assert lit == list(range(13, 38))  # 0.52 s to 1.48 s: from 0.5 s on, before 1.5 s
    rows, columns = np.nonzero(marks[25])
    assert rows.min() > 180 * 0.7
    assert abs((columns.min() + columns.max()) / 2 - 160) < 3


async def test_size_rate_times_and_sound_stay(client: Client, clip: Path, cues: Path, tmp_path: Path) -> None:
    out = await captioned(client, tmp_path / "o.mp4", clip, cues)
    before, after = judge.facts(clip), judge.facts(out)
    assert (after.width, after.height, after.rate, after.times) == (
        before.width,
        before.height,
        before.rate,
        before.times,
    )
    assert (after.codec, after.profile, after.pixel_format) == ("h264", "High", "yuv420p")
    assert after.audio == ("aac",)
    assert np.array_equal(judge.samples(out), judge.samples(clip))  # copied, not encoded again
    assert judge.moov_first(out)


async def test_summary_tells_what_the_file_is(client: Client, clip: Path, cues: Path, tmp_path: Path) -> None:
    summary = await client.result(tmp_path / "o.mp4", CAPTION, {"url_video": clip, "url_srt": cues})
    assert (summary.codec, summary.frames, summary.width, summary.height) == ("x264", 50, 320, 180)
    assert summary.duration_seconds == pytest.approx(2, abs=0.05)
    assert summary.content_type == "video/mp4"
    assert 0 < summary.encode_seconds < 60


async def test_progress_ends_with_all_frames(client: Client, clip: Path, cues: Path) -> None:
    done = await client.encode(CAPTION, {"url_video": clip, "url_srt": cues})
    last = done.progress[-1]
    assert (last.frames_done, last.frames_total, last.seconds_left) == (50, 50, 0)


async def test_variable_frame_rate_keeps_every_timestamp(client: Client, cues: Path, tmp_path: Path) -> None:
    uneven = ["-vf", "settb=1/90000,setpts='(N*0.04+mod(N,3)*0.007)/TB'"]
    times = ["-fps_mode", "passthrough", "-enc_time_base", "1:90000"]
    video = media.video(tmp_path / "v.mp4", 1, "320x180", 25, False, *uneven, *times)
    out = await captioned(client, tmp_path / "o.mp4", video, cues)
    before, after = judge.facts(video).times, judge.facts(out).times
    assert len(set(np.round(np.diff(before), 3))) > 1
    assert after == pytest.approx(before, abs=0.001)


async def test_portrait_by_rotation_is_captioned_as_it_is_shown(client: Client, gray: Path, tmp_path: Path) -> None:
    turned, words = tmp_path / "turned.mp4", media.srt(tmp_path / "s.srt", [(0, 2, "A line of words that must wrap")])
    media.run("-display_rotation", "90", "-i", gray, "-c", "copy", turned)
    upright = media.grey_video(tmp_path / "upright.mp4", 2, "180x320")
    one = await captioned(client, tmp_path / "one.mp4", turned, words)
    other = await captioned(client, tmp_path / "other.mp4", upright, words)
    assert (judge.facts(one).width, judge.facts(one).height) == (180, 320)
    first, second = judge.pictures(one)[10], judge.pictures(other)[10]
    assert judge.differing(first, np.full_like(first, 0x40)).any()
    assert judge.differing(first, second).mean() < 0.002


async def test_text_keeps_its_shape_on_wide_pixels(client: Client, tmp_path: Path) -> None:
    words = media.srt(tmp_path / "s.srt", [(0, 2, "HHHH")])
    square = media.grey_video(tmp_path / "square.mp4", 0.2, "640x360")
    wide = media.grey_video(tmp_path / "wide.mp4", 0.2, "320x360", 25, "-vf", "setsar=2")
    widths = []
    for name in (square, wide):
        frame = judge.pictures(await captioned(client, tmp_path / f"o-{name.name}", name, words))[2]
        columns = np.nonzero(judge.differing(frame, np.full_like(frame, 0x40)))[1]
        widths.append(columns.max() - columns.min())
    assert widths[1] * 2 == pytest.approx(widths[0], rel=0.1)


async def test_odd_sizes_lose_one_row_and_column(client: Client, cues: Path, tmp_path: Path) -> None:
    video = tmp_path / "odd.mkv"
    media.run("-f", "lavfi", "-i", "testsrc2=size=321x181:duration=0.6", "-c:v", "ffv1", video)
    after = judge.facts(await captioned(client, tmp_path / "o.mp4", video, cues))
    assert (after.width, after.height, after.pixel_format) == (320, 180, "yuv420p")


async def test_every_audio_stream_is_kept_and_made_aac_where_mp4_cannot_hold_it(
    client: Client, cues: Path, tmp_path: Path
) -> None:
    video = tmp_path / "two.mkv"
    sounds = ["-f", "lavfi", "-i", "sine=440:d=1", "-f", "lavfi", "-i", "sine=1000:d=1"]
    kinds = ["-c:v", "libx264", "-c:a:0", "pcm_s16le", "-c:a:1", "libmp3lame"]
    maps = ["-map", "0", "-map", "1", "-map", "2"]
    media.run("-f", "lavfi", "-i", "testsrc2=size=320x180:duration=1", *sounds, *maps, *kinds, video)
    out = await captioned(client, tmp_path / "o.mp4", video, cues)
    assert judge.facts(out).audio == ("aac", "mp3")
    assert judge.pitch(out, 0) == pytest.approx(440, abs=5)
    assert judge.pitch(out, 1) == pytest.approx(1000, abs=5)


async def test_mp3_too_slow_for_mp4_is_made_aac(client: Client, cues: Path, tmp_path: Path) -> None:
    video = tmp_path / "slow.flv"
    inputs = ["-f", "lavfi", "-i", "testsrc2=size=320x180:duration=1", "-f", "lavfi", "-i", "sine=440:d=1"]
    media.run(*inputs, "-c:v", "flv", "-c:a", "libmp3lame", "-ar", "11025", video)
    out = await captioned(client, tmp_path / "o.mp4", video, cues)
    assert judge.facts(out).audio == ("aac",)
    assert judge.pitch(out) == pytest.approx(440, abs=5)


@pytest.mark.parametrize(
    "data",
    [
        "\ufeff1\r\n00:00:00,000 --> 00:00:02,000\r\nação\r\n".encode(),
        "1\n00:00:00,000 --> 00:00:02,000\nação\n".encode("utf-16"),
        "1\n00:00:00,000 --> 00:00:02,000\nação\n".encode("cp1252"),
        "00:00:00.0 --> 00:00:02.0\nação".encode(),
    ],
    ids=["utf8-bom-crlf", "utf16", "cp1252", "no-number"],
)
async def test_encodings_give_the_same_picture(client: Client, gray: Path, tmp_path: Path, data: bytes) -> None:
    plain = "1\n00:00:00,000 --> 00:00:02,000\nação\n".encode()
    one = judge.pictures(await captioned(client, tmp_path / "one.mp4", gray, plain))[5]
    other = judge.pictures(await captioned(client, tmp_path / "other.mp4", gray, data))[5]
    assert judge.differing(one, np.full_like(one, 0x40)).any()
    assert np.array_equal(one, other)


async def test_captions_are_drawn_on_a_machine_without_fonts_and_fontconfig(
    client: Client, certs: Path, gray: Path, cues: Path, tmp_path: Path
) -> None:
    usual = judge.pictures(await captioned(client, tmp_path / "usual.mp4", gray, cues))
    empty = tmp_path / "fonts.conf"
    empty.write_text('<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig></fontconfig>')
    bare = {"FONTCONFIG_FILE": empty, "FONTCONFIG_PATH": tmp_path, "XDG_DATA_HOME": tmp_path, "HOME": tmp_path}
    with encoder_harness.running(certs, tmp_path, bare) as encoder:
        async with encoder.client() as lonely:
            shown = judge.pictures(await captioned(lonely, tmp_path / "o.mp4", gray, cues))
    assert judge.differing(shown[25], judge.pictures(gray)[25]).any()
    assert np.array_equal(shown[25], usual[25])


async def test_braces_and_backslashes_are_words_not_commands(client: Client, gray: Path, tmp_path: Path) -> None:
    # Unescaped, this would paint the picture over and hide the words.
    drawing = media.srt(tmp_path / "s.srt", [(0, 2, r"{an7\pos(0,0)\p1}m 0 0 l 320 0 320 180 0 180 \p1 {}\an8")])
    shown = judge.pictures(await captioned(client, tmp_path / "o.mp4", gray, drawing))[5]
    marks = judge.differing(shown, judge.pictures(gray)[5])
    assert marks.any()
    assert marks.mean() < 0.2
    assert not marks[: 180 // 2].any()


async def test_a_cue_is_placed_on_top_by_an8(client: Client, gray: Path, tmp_path: Path) -> None:
    top = media.srt(tmp_path / "s.srt", [(0, 2, r"{\an8}Up")])
    shown = judge.pictures(await captioned(client, tmp_path / "o.mp4", gray, top))[5]
    rows, _ = np.nonzero(judge.differing(shown, judge.pictures(gray)[5]))
    assert rows.max() < 180 * 0.3


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "there are no captions"),
        (b"just words\n", "there are no captions"),
        (b"1\n00:00:xx,000 --> 00:00:04,000\nno\n", "caption 1, line 2 (00:00:xx,000 --> 00:00:04,000) has times that"),
        (b"1\n00:00:03,000 --> 00:00:02,000\nno\n", "(00:00:03,000 --> 00:00:02,000) ends before it starts"),
        (b"1\n00:00:00,000 --> 00:00:00,000\nno\n", "(00:00:00,000 --> 00:00:00,000) lasts no time"),
        (b"1\n01:37:46,579 --> 01:37:47,905\nno\n", "all captions begin after the video's end at 2.00 s: caption 1"),
        (bytes(range(64)), "not a text file"),
    ],
    ids=["empty", "no-times", "bad-time", "backwards", "no-time", "late", "binary"],
)
async def test_a_broken_subtitle_file_is_refused_by_cue_and_line(
    client: Client, gray: Path, data: bytes, told: str
) -> None:
    error = await refusal(client, gray, data)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith("url_srt: ")
    assert told in (error.details() or "")


@pytest.fixture
def broken(clip: Path, sound: Path, tmp_path: Path) -> dict[str, bytes | Path]:
    return {
        "text": b"this is no video",
        "empty": b"",
        "audio": sound,
        "no-index": clip.read_bytes()[:3000],
        "cut": media.video(tmp_path / "f.mp4", 2, "320x180", 25, True, "-movflags", "+faststart").read_bytes()[:60_000],
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{clip}\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{clip}'\n".encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
    }


@pytest.mark.parametrize("kind", ["text", "empty", "audio", "no-index", "cut", "playlist", "concat", "sdp", "dash"])
async def test_what_is_no_whole_video_is_refused(
    client: Client, cues: Path, kind: str, broken: dict[str, bytes | Path]
) -> None:
    error = await refusal(client, broken[kind], cues)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith("url_video: ")
    assert "/" not in (error.details() or "").replace("H.264/", "")
