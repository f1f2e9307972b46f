"""A long captioned video on several encoders: in pieces, each from its range of the file; and an encoder that is killed
costs its piece."""

import contextlib
import hashlib
import http.server
import os
import random
import re
import threading
from typing import ClassVar

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
        self.stacks, self.running = {}, {}

    def start(self, number):
        self.stacks[number] = contextlib.ExitStack()
        settings = {"PORT": self.ports[number], "BATCH_SIZE": self.slots, "X264_PRESET": "ultrafast"}
        folder = self.folder / f"encoder{number}"
        running = encoder_harness.running(self.certs, folder, settings)
        self.running[number] = self.stacks[number].enter_context(running)
        return self.running[number]

    def sent_by_join(self, job_id):
        """The bytes that the join of a job sent, one number."""
        lines = [line for encoder in self.running.values() for line in encoder.lines if line.get("job") == job_id]
        return [line["bytes"] for line in lines if (line["event"], line.get("codec")) == ("task completed", "copy")]

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


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    return split_films.with_gap(split_films.write_film(folder / "short.mp4", SECONDS), folder / "film.mp4", GAP_BYTES)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A gateway with two encoders."""
    with serving(tmp_path_factory.mktemp("pair"), 2, 2, FETCH_ALLOW_CIDRS="127.0.0.0/8") as pair:
        yield pair


def test_a_film_is_made_in_pieces_and_an_encoder_that_is_killed_costs_its_piece(tmp_path, film, served):
    gateway, encoders = served
    name = gateway.upload(film)
    job_id = submit(gateway, name, SECONDS)
    undisturbed = result(gateway, job_id)
    # Its planning, two pieces, the joining.
    assert gateway.job(job_id)["total"] == 4
    # Which sent no more than the head of the film.
    gateway.until(lambda: encoders.sent_by_join(job_id))  # whose lines may come after the result
    (head_bytes,) = encoders.sent_by_join(job_id)
    assert undisturbed[head_bytes - 4 : head_bytes] == b"mdat"
    (tmp_path / "made.mp4").write_bytes(undisturbed)
    assert split_films.tracks(tmp_path / "made.mp4") == split_films.tracks(film)
    job_id = submit(gateway, name, SECONDS)
    gateway.until(lambda: gateway.job(job_id)["total"] == 4)
    encoders.kill(0)
    assert result(gateway, job_id) == undisturbed
    encoders.start(0)
    gateway.until(lambda: slots_of(gateway) == 4)


class ChangingFile(http.server.BaseHTTPRequestHandler):
    """Serves one file, and ranges of it; it is another one each time that the whole is asked for."""

    film: bytes
    asked: ClassVar[list[int]] = []

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not asked:
            self.asked.append(0)
        first, last = map(int, asked.groups()) if asked else (0, len(self.film) - 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.film)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{len(self.asked)}"')
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.film[first : last + 1])

    def log_message(self, *_):
        pass


def test_no_film_is_made_of_a_file_that_changes_between_its_pieces(film, served):
    gateway, _ = served
    handler = type("Handler", (ChangingFile,), {"film": film.read_bytes(), "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        job = gateway.ended(submit(gateway, f"http://127.0.0.1:{server.server_port}/film.mp4", SECONDS), 60)
        server.shutdown()
        thread.join()
        assert (job["status"], job["total"], "INPUT_CHANGED" in str(job)) == ("FAILED", 4, True), job


class ArrivingFile(http.server.BaseHTTPRequestHandler):
    """Serves one file, of which it knows no ranges, and of the film no more than it may so far."""

    film: bytes
    tells_size: bool
    may: threading.Event
    held_bytes: int
    asked: ClassVar[list[int]] = []

    def do_GET(self):
        self.asked.append(0)
        self.send_response(200)
        if self.tells_size:
            self.send_header("Content-Length", str(len(self.film)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.film[: self.held_bytes])
            self.may.wait(120)
            self.wfile.write(self.film[self.held_bytes :])

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def arriving(film, held_bytes, *, tells_size=True):
    """Serve a film of which the bytes after `held_bytes` come once they `may`; its URL, and what was asked."""
    facts = {"film": film, "held_bytes": held_bytes, "tells_size": tells_size, "may": threading.Event(), "asked": []}
    handler = type("Handler", (ArrivingFile,), facts)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/film.mp4", handler
        finally:
            handler.may.set()
            server.shutdown()
            thread.join()


def test_pieces_of_a_film_are_made_while_it_still_arrives_from_a_server_that_knows_no_ranges(tmp_path, served):
    gateway, _ = served
    film = split_films.write_film(tmp_path / "film.mp4", SECONDS, *split_films.LARGE)
    data = film.read_bytes()
    assert len(data) > GAP_BYTES
    # The last packet of the short track of sound stands far behind the first piece, and is a part of it.
    with arriving(data, len(data) * 7 // 8) as (url, handler):
        job_id = submit(gateway, url, SECONDS)
        # Planned, and a piece of it made.
        gateway.until(lambda: gateway.job(job_id)["processed"] >= 2)
        assert not handler.may.is_set()
        handler.may.set()
        arrived = result(gateway, job_id)
        assert len(handler.asked) == 1
    job_id = submit(gateway, gateway.upload(film), SECONDS)
    assert result(gateway, job_id) == arrived


def test_a_film_whose_server_does_not_tell_its_size_is_fetched_once_for_its_pieces(film, served):
    gateway, _ = served
    with arriving(film.read_bytes(), 1000, tells_size=False) as (url, handler):
        handler.may.set()
        job_id = submit(gateway, url, SECONDS)
        result(gateway, job_id)
        assert (gateway.job(job_id)["total"], len(handler.asked)) == (4, 1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_encoders_that_are_killed_at_random_change_nothing(tmp_path):
    seconds, chance = 2400, random.Random(1)
    film = split_films.write_film(tmp_path / "film.mp4", seconds)
    # All three may hit the same piece, which is given up after as many, as if it were what ended the encoders.
    with serving(tmp_path, 2, 4, TASK_ATTEMPTS="4") as (gateway, encoders):
        name = gateway.upload(film)
        job_id = submit(gateway, name, seconds)
        undisturbed = hashlib.sha256(result(gateway, job_id, 600)).hexdigest()
        total = gateway.job(job_id)["total"]
        assert total >= 42
        for _ in range(ROUNDS):
            # A film for one encoder is not made in pieces.
            gateway.until(lambda: slots_of(gateway) == 8)
            job_id = submit(gateway, name, seconds)
            for _ in range(3):
                done = chance.randrange(1, total - 4)
                gateway.until(lambda job_id=job_id, done=done: gateway.job(job_id)["processed"] >= done, 600)
                number = chance.randrange(2)
                encoders.kill(number)
                encoders.start(number)
            assert hashlib.sha256(result(gateway, job_id, 600)).hexdigest() == undisturbed
