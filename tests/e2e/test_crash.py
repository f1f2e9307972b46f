"""kill -9 of the gateway and of the encoder, with jobs queued and running: every job ends COMPLETED, once."""

import contextlib
import os
import random
import signal
import time

import psutil
import pytest

from api_gpu import Status
from servicekit.errors import ServiceError
from tests.support import judge, processes
from tests.support.until import until_sync
from tools.pair import running

JOBS = 5


@pytest.fixture
def own_pair(tmp_path):
    with running(tmp_path / "pair", BATCH_SIZE="1", ACK_WAIT_SECONDS="2", LOG_LEVEL="info") as pair:
        yield pair


def service(pair, name):
    for child in psutil.Process(pair.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it is ending
            if name in child.cmdline():
                return child
    return None


@pytest.mark.parametrize("victim", ["gateway", pytest.param("encoder", marks=pytest.mark.kills)])
def test_every_job_survives_the_kill_and_completes_once(own_pair, media, victim):
    with own_pair.client() as client:
        image = client.upload(media.image).name
        jobs = [client.img2vid([image], seconds=1.5, fps=12).id for _ in range(JOBS)]
        until_sync(lambda: client.get(jobs[0]).status is not Status.IN_QUEUE)
        assert any(client.get(job).status is Status.IN_QUEUE for job in jobs)
        old = service(own_pair, victim)
        os.kill(old.pid, signal.SIGKILL)
        # A gateway that is away is asked again, and makes one job.
        jobs.append(client.img2vid([image], seconds=1.5, fps=12).id)
        until_sync(lambda: (found := service(own_pair, victim)) is not None and found.pid != old.pid)
    with own_pair.client() as client:
        until_sync(lambda: all(status(client, job) is Status.COMPLETED for job in jobs), 120)
        found = [client.get(job) for job in jobs]
        names = [clip.asset for job in found for clip in job.clips]
        assert len(set(names)) == JOBS + 1
        listed = [job.id for job in client.jobs()]
        assert sorted(listed) == sorted(jobs)
    assert not ffmpeg_running(own_pair)


@pytest.mark.parametrize("stage", [1, pytest.param(2, marks=pytest.mark.kills)])
def test_a_chain_survives_kills_at_each_stage_and_leaves_its_result_alone(own_pair, media, stage):
    steps = [
        {"id": "clips", "img2vid": {"images": [], "fps": 12, "width": 320, "height": 180}},
        {"id": "film", "concat": {"videos": ["step:clips"], "fps": 10}},
        {"id": "cover", "thumbnail": {"video": "step:film"}},
    ]
    with own_pair.client() as client:
        image = client.upload(media.image).name
        steps[0]["img2vid"]["images"] = [{"id": name, "source": image, "seconds": 2} for name in "ab"]
        job = client.chain(steps).id
        until_sync(lambda: ((found := client.get(job)).processed >= stage and encodes(own_pair)) or found.ended)
        for victim in ("gateway", "encoder"):
            if old := service(own_pair, victim):
                os.kill(old.pid, signal.SIGKILL)
    with own_pair.client() as client:
        until_sync(lambda: status(client, job) is Status.COMPLETED, 120)
        found = client.get(job)
    assert (found.processed, found.image_url != "") == (4, True)
    expected = {image.removeprefix("assets/"), found.asset.removeprefix("assets/")}
    until_sync(lambda: {path.name for path in (own_pair.data_dir / "assets" / "assets").iterdir()} == expected)


# Who is killed, by the number of tasks that are done then: while the story is planned, while its scenes and its sound
# are made, and while they are joined. A service that ends five times so soon is given up by `api-gpu up`.
BOTH = ("gateway", "encoder")
GIVEN_UP_SECONDS = 32
STAGES = (BOTH, ("gateway",), BOTH, ("encoder",), BOTH)
# Of the long form: kills at random moments.
KILLS = 60


@pytest.mark.kills
def test_a_story_survives_kills_at_each_stage_and_leaves_its_film_alone(own_pair, media):
    wanted = story_of(own_pair, media)
    for processed, victims in enumerate(STAGES):
        with own_pair.client() as client:
            job = client.story(**wanted).id
            until_sync(lambda: (found := client.get(job)).processed >= processed or found.ended)  # noqa: B023
            kill(own_pair, *victims)
        assert_whole(own_pair, job, wanted)


@pytest.mark.kills
def test_a_story_that_is_canceled_at_any_stage_leaves_nothing(own_pair, media):
    wanted = story_of(own_pair, media)
    given = {wanted["scenes"][0]["image"], wanted["narration"], wanted["subtitles"]}
    with own_pair.client() as client:
        for processed in range(len(STAGES)):
            job = client.story(**wanted).id
            until_sync(lambda: (found := client.get(job)).processed >= processed or found.ended)  # noqa: B023
            with contextlib.suppress(ServiceError):  # it was faster
                client.cancel(job)
            if film := client.get(job).asset:
                client.delete(film)
            until_sync(lambda: assets(own_pair) == given)
    assert not ffmpeg_running(own_pair)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_stories_survive_kills_at_random_moments(own_pair, media):
    wanted, chance, killed = story_of(own_pair, media), random.Random(7), {name: [] for name in BOTH}
    while sum(map(len, killed.values())) < KILLS:
        with own_pair.client() as client:
            job = client.story(**wanted).id
        time.sleep(chance.uniform(0, 3))
        now, victims = time.monotonic(), chance.choice([BOTH, ("gateway",), ("encoder",)])
        for name in (name for name in victims if sum(at > now - GIVEN_UP_SECONDS for at in killed[name]) < 4):
            kill(own_pair, name)
            killed[name].append(now)
        assert_whole(own_pair, job, wanted)


def story_of(pair, media):
    """Two scenes that lead into each other, in one piece of the film, a third in another one, narration and captions;
    all of them uploaded."""
    with pair.client() as client:
        image, voice = client.upload(media.image).name, client.upload(media.tone).name
        captions = client.upload(media.srt).name
    still = {"image": image, "seconds": 1}
    scenes = [still, {**still, "transition": {"kind": "CUT"}}, still]
    shape = {"width": 320, "height": 180, "fps": 12, "transition": {"kind": "CROSSFADE", "seconds": 0.5}}
    return {"scenes": scenes, "narration": voice, "subtitles": captions, **shape}


def assets(pair):
    """The names of all stored files."""
    return {f"assets/{path.name}" for path in (pair.data_dir / "assets" / "assets").iterdir()}


def kill(pair, *names):
    for name in names:
        if old := service(pair, name):
            os.kill(old.pid, signal.SIGKILL)


def assert_whole(pair, job, wanted):
    """The job completes, once; nothing is left but its film and what was given; the film has all its frames."""
    with pair.client() as client:
        until_sync(lambda: status(client, job) not in (None, Status.IN_QUEUE, Status.IN_PROGRESS), 120)
        found = client.get(job)
        assert (found.status, found.processed, found.total) == (Status.COMPLETED, 5, 5), found.error
        film = client.download(found.asset, pair.data_dir / "film.mp4")
        assert judge.facts(film).frames == 30
        given = {wanted["scenes"][0]["image"], wanted["narration"], wanted["subtitles"], found.asset}
        until_sync(lambda: assets(pair) == given)
        client.delete(found.asset)
        film.unlink()


def test_an_ffmpeg_that_is_killed_costs_an_attempt_and_no_job(own_pair, media):
    with own_pair.client() as client:
        job = client.img2vid([client.upload(media.image).name], seconds=6, fps=10).id
        until_sync(lambda: encodes(own_pair))
        for encode in encodes(own_pair):
            with contextlib.suppress(psutil.NoSuchProcess):
                encode.kill()
        until_sync(lambda: status(client, job) is Status.COMPLETED)


def encodes(pair):
    """The processes of FFmpeg that make results, not those that look at inputs."""
    found = []
    for child in ffmpeg_running(pair):
        with contextlib.suppress(psutil.Error):
            found += [child] if "-progress" in child.cmdline() else []
    return found


def status(client, job):
    try:
        return client.get(job).status
    except ServiceError:  # the gateway is on its way back
        return None


def ffmpeg_running(pair):
    return list(filter(processes.encodes, psutil.Process(pair.process.pid).children(recursive=True)))


def test_a_graceful_stop_keeps_what_was_queued(tmp_path, media):
    with running(tmp_path / "pair", BATCH_SIZE="1", DRAIN_SECONDS="1") as pair, pair.client() as client:
        image = client.upload(media.image).name
        jobs = [client.img2vid([image], seconds=1.5, fps=12).id for _ in range(3)]
        until_sync(lambda: client.get(jobs[0]).status is not Status.IN_QUEUE)
    with running(tmp_path / "pair", BATCH_SIZE="1") as pair, pair.client() as client:
        until_sync(lambda: all(status(client, job) is Status.COMPLETED for job in jobs))
