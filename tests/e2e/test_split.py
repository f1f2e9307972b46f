"""A long captioned video on several encoders: in pieces, each from its range of the file; and an encoder that is killed
costs its piece."""

import contextlib
import hashlib
import os
import random

import pytest

from tests.support import encoder_harness, split_films
from tests.support.lone_gateway import LoneGateway
from tools.pair import free_ports

SECONDS = 61
# More than comes whole to the task that plans.
GAP_BYTES = 36 * 1024 * 1024
ROUNDS = int(os.environ.get("SPLIT_KILLS", "20"))


class Encoders:
    """Encoders on ports that stay theirs, which can be killed and started again."""

    def __init__(self, folder, certs, count, slots):
        self.folder, self.certs, self.slots = folder, certs, slots
        self.ports = free_ports(count)
        self.stacks = {}

    def start(self, number):
        self.stacks[number] = contextlib.ExitStack()
        settings = {"PORT": self.ports[number], "BATCH_SIZE": self.slots, "X264_PRESET": "ultrafast"}
        folder = self.folder / f"encoder{number}"
        return self.stacks[number].enter_context(encoder_harness.running(self.certs, folder, settings))

    def kill(self, number):
        self.stacks.pop(number).close()

    def __enter__(self):
        for number in range(len(self.ports)):
            self.start(number)
        return self

    def __exit__(self, *_):
        for number in list(self.stacks):
            self.kill(number)


@contextlib.contextmanager
def serving(folder, count, slots, **environment):
    """A gateway and its encoders."""
    ports = free_ports(0)
    gateway = LoneGateway(folder, **environment)
    with Encoders(folder, gateway.certificates, count, slots) as encoders:
        ports = encoders.ports
        gateway.environment["ENCODERS"] = ",".join(f"localhost:{port}" for port in ports)
        with gateway:
            gateway.until(lambda: slots_of(gateway) == count * slots)
            yield gateway, encoders


def slots_of(gateway):
    return gateway.http.get("/health").json()["encoders"]["slots"]


def submit(gateway, film, seconds):
    answer = gateway.http.post(
        "/jobs", json={"caption": {"url_video": film, "srt_text": split_films.subtitles(seconds), "encode_all": True}}
    )
    answer.raise_for_status()
    return answer.json()["id"]


def result(gateway, job_id, seconds=120):
    job = gateway.ended(job_id, seconds)
    assert job["status"] == "COMPLETED", job
    return gateway.http.get(f"/assets/{job['output']['asset'].removeprefix('assets/')}/content").content


def test_a_film_is_made_in_pieces_and_an_encoder_that_is_killed_costs_its_piece(tmp_path):
    film = split_films.with_gap(
        split_films.write_film(tmp_path / "short.mp4", SECONDS), tmp_path / "film.mp4", GAP_BYTES
    )
    with serving(tmp_path, 2, 2) as (gateway, encoders):
        name = gateway.upload(film)
        job_id = submit(gateway, name, SECONDS)
        undisturbed = result(gateway, job_id)
        # Its planning, two pieces, the joining.
        assert gateway.job(job_id)["total"] == 4
        (tmp_path / "made.mp4").write_bytes(undisturbed)
        assert split_films.tracks(tmp_path / "made.mp4") == split_films.tracks(film)
        job_id = submit(gateway, name, SECONDS)
        gateway.until(lambda: gateway.job(job_id)["total"] == 4)
        encoders.kill(0)
        assert result(gateway, job_id) == undisturbed


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_encoders_that_are_killed_at_random_change_nothing(tmp_path):
    seconds, chance = 2400, random.Random(1)
    film = split_films.write_film(tmp_path / "film.mp4", seconds)
    with serving(tmp_path, 2, 4) as (gateway, encoders):
        name = gateway.upload(film)
        job_id = submit(gateway, name, seconds)
        undisturbed = hashlib.sha256(result(gateway, job_id, 600)).hexdigest()
        total = gateway.job(job_id)["total"]
        assert total >= 42
        for _ in range(ROUNDS):
            job_id = submit(gateway, name, seconds)
            for _ in range(3):
                done = chance.randrange(1, total - 4)
                gateway.until(lambda job_id=job_id, done=done: gateway.job(job_id)["processed"] >= done, 600)
                number = chance.randrange(2)
                encoders.kill(number)
                encoders.start(number)
            assert hashlib.sha256(result(gateway, job_id, 600)).hexdigest() == undisturbed
