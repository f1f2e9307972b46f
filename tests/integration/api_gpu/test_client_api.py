"""The Python client, end to end; results are judged by decoding them."""

from pathlib import Path

import pytest

from api_gpu import CaptionStyle, Client, Motion, Soundtrack, Status, Still
from api_gpu.local.data_dir import DataDir
from api_gpu.outcomes import Clip, Finished, Progress
from api_gpu.requests import local_file, stems
from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, Unauthenticated, Unavailable
from tests.integration.api_gpu.conftest import Run
from tests.support.judge import differing, pictures
from tools.media_check import changed_share, footage
from tools.pair import Pair, free_ports
from tools.samples import Samples


def test_captions_are_burned_in(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.caption(media.video, media.subtitles).wait()
    result, source = footage(client.download(job.asset, tmp_path / "out.mp4")), footage(media.video)
    assert (result.frames, result.size) == (source.frames, source.size)
    assert result.seconds == pytest.approx(source.seconds, abs=0.05)
    assert changed_share(tmp_path / "out.mp4", media.video, 0.6) > 0.005
    assert changed_share(tmp_path / "out.mp4", media.video, 1.0) < 0.001
    assert job.operation == "caption"
    assert job.video_url.startswith("http")


def test_events_end_with_the_finished_job(client: Client, media: Samples) -> None:
    events = list(client.img2vid([media.images[0]], seconds=2).watch())
    *before, last = events
    assert isinstance(last, Finished)
    assert last.job.status is Status.COMPLETED
    progress = [event for event in before if isinstance(event, Progress)]
    assert progress
    assert {event.frames_total for event in progress} <= {0, 48}
    assert all(0 <= event.frames_done <= 48 for event in progress)
    assert [event.id for event in before if isinstance(event, Clip)] == ["still"]


def test_clips_carry_their_names(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.img2vid(list(media.images), seconds=0.5, fps=10).wait()
    assert [clip.id for clip in job.clips] == ["still", "still-2"]
    for clip in job.clips:
        found = footage(client.download(clip.asset, tmp_path / f"{clip.id}.mp4"))
        assert (found.frames, found.size) == (5, "1920×1080")
    job = client.img2vid({"a": media.images[0]}, seconds=0.5, fps=10).wait()
    assert [clip.id for clip in job.clips] == ["a"]


def test_stills_have_seconds_and_a_camera_of_their_own(client: Client, media: Samples, tmp_path: Path) -> None:
    image = media.images[0]
    own = Still(image, seconds=0.2, motion=Motion(start_zoom=4, end_zoom=4, pan="left"))
    motion = Motion(start_zoom=1, end_zoom=1)
    job = client.img2vid(
        {"own": own, "plain": image}, 0.5, fps=10, size=(320, 180), fit="stretch", motion=motion
    ).wait()
    near, whole = (pictures(client.download(clip.asset, tmp_path / f"{clip.id}.mp4")) for clip in job.clips)
    assert (len(near), len(whole)) == (2, 5)
    assert near[0].shape == whole[0].shape == (180, 320, 3)
    assert differing(whole[0], whole[-1]).mean() < 0.001
    assert differing(near[0], whole[0]).mean() > 0.2


def test_a_wrong_option_is_told_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(InvalidArgument, match=r"style\.preset is 'loud' and must be one of classic, bold"):
        client.caption("absent.mp4", "absent.srt", style=CaptionStyle(preset="loud"))  # type: ignore[arg-type]


def test_a_value_out_of_range_is_refused_by_the_gateway(client: Client, media: Samples) -> None:
    with pytest.raises(InvalidArgument, match=r"soundtrack\.loudness is 3 and must be from -40 to -5"):
        client.addaudio(media.video, media.audio, soundtrack=Soundtrack(loudness=3))


def test_a_soundtrack_ends_with_the_shorter(client: Client, media: Samples, tmp_path: Path) -> None:
    job = client.addaudio(media.video, media.audio).wait()
    found = footage(client.download(job.asset, tmp_path / "out.mp4"))
    assert found.seconds == pytest.approx(1.5, abs=0.1)
    assert found.audio_seconds == pytest.approx(1.5, abs=0.1)


def test_an_asset_serves_again(client: Client, media: Samples) -> None:
    video, audio = client.upload(media.video), client.upload(media.audio)
    first, second = (client.addaudio(video.name, audio.name) for _ in range(2))
    assert first.id != second.id
    assert first.wait().asset != second.wait().asset


def test_jobs_are_listed_the_newest_first(client: Client, media: Samples) -> None:
    ids = [client.img2vid([media.images[0]], seconds=0.1).wait().id for _ in range(2)]
    assert [job.id for job, _ in zip(client.jobs(), ids, strict=False)] == ids[::-1]
    assert {job.status for job in client.jobs(Status.COMPLETED)} == {Status.COMPLETED}
    assert client.get(ids[0]).refresh().id == ids[0]


def test_a_job_can_be_cancelled_once(client: Client, media: Samples) -> None:
    job = client.img2vid([media.images[0]], seconds=600)
    job.cancel()
    (*_, last) = job.watch()
    assert isinstance(last, Finished)
    assert last.job.status is Status.CANCELLED
    with pytest.raises(FailedPrecondition, match="already"):
        client.cancel(job.id)


def test_a_job_that_fails_raises_why(client: Client, media: Samples, tmp_path: Path) -> None:
    broken = tmp_path / "broken.srt"
    broken.write_text("no cue at all\n")
    job = client.caption(media.video, broken)
    with pytest.raises(InvalidArgument):
        job.wait()
    assert job.refresh().status is Status.FAILED


def test_wrong_requests_raise_at_once(client: Client) -> None:
    with pytest.raises(InvalidArgument, match="images array is required"):
        client.img2vid([])
    with pytest.raises(NotFound):
        client.get("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_a_wrong_key_is_refused(pair: Pair, media: Samples) -> None:
    folder = pair.certificates
    files = (folder / "ca.crt", folder / "client.crt", folder / "client.key")
    with Client.connect(pair.target, "wrong", *files) as stranger:
        with pytest.raises(Unauthenticated):
            list(stranger.jobs())
        with pytest.raises(Unauthenticated):
            stranger.upload(media.video)


def test_no_gateway_is_told_plainly(pair: Pair) -> None:
    (port,) = free_ports(1)
    folder = pair.certificates
    files = (folder / "ca.crt", folder / "client.crt", folder / "client.key")
    with (
        Client.connect(f"localhost:{port}", pair.key, *files) as nobody,
        pytest.raises(Unavailable, match=f"localhost:{port} does not answer.*api-gpu up"),
    ):
        nobody.get("x")


def test_without_a_client_certificate_nothing_answers(pair: Pair) -> None:
    with (
        Client.connect(pair.target, pair.key, pair.certificates / "ca.crt") as stranger,
        pytest.raises(Unavailable, match="client certificate"),
    ):
        stranger.health()


def test_the_certificate_of_the_authority_is_no_clients(pair: Pair) -> None:
    folder = pair.certificates
    files = (folder / "ca.crt", folder / "client-ca.crt", folder / "client-ca.key")
    with Client.connect(pair.target, pair.key, *files) as stranger:
        with pytest.raises(Unauthenticated) as caught:
            list(stranger.jobs())
        assert caught.value.reason == "CLIENT_CERTIFICATE"


def test_no_certificates_are_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"ca\.crt"):
        Client.local(tmp_path)
    with pytest.raises(FailedPrecondition, match="absent"):
        Client.connect("localhost:1", "", tmp_path / "absent")


def test_the_gateway_tells_how_it_fares(client: Client) -> None:
    health = client.health()
    assert (health.status, health.encoders) == ("healthy", 1)
    assert health.slots >= 1


def test_what_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_file("https://example.com/a.mp4") is None
    assert local_file("assets/x") is None
    assert local_file("a.mp4") == Path("a.mp4")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.png").touch()
    assert local_file("assets/a.png") == Path("assets/a.png")


def test_stems_are_unique() -> None:
    sources = ["a/x.png", "b/x.jpg", "https://example.com/x.png?size=2", "x-2.png", "y.png"]
    assert stems(sources) == ["x", "x-2", "x-3", "x-2-2", "y"]


def test_a_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    folder = DataDir(tmp_path)
    assert folder.key() == ""
    key = folder.ensure_key()
    assert len(key) >= 32
    assert folder.ensure_key() == folder.key() == key
    assert folder.key_file.stat().st_mode & 0o777 == 0o600


def test_paths_may_be_text_and_a_key_may_end_with_its_line(pair: Pair, media: Samples, tmp_path: Path) -> None:
    files = [str(pair.certificates / name) for name in ("ca.crt", "client.crt", "client.key")]
    with Client.connect(pair.target, f"{pair.key}\n", *files) as client:
        asset = client.upload(str(media.audio))
        assert client.download(asset, str(tmp_path / "again.wav")).read_bytes() == media.audio.read_bytes()


def test_the_services_have_help_of_their_own(run: Run) -> None:
    for service in ("gateway", "encoder"):
        done = run(service, "--help")
        assert done.returncode == 0
        assert f"Serve as {'a' if service == 'gateway' else 'an'} {service} alone" in done.stdout
