"""The command line rides out a gateway that is killed while it submits, waits and downloads: the result is right."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.e2e.test_crash import GIVEN_UP_SECONDS, service
from tests.support import judge
from tests.support.command_line import command, environment
from tests.support.until import until_sync
from tools.pair import running

KILLS = 3
# Of the long form.
MANY_KILLS = 20


@pytest.fixture(scope="module")
def own_pair(tmp_path_factory):
    with running(tmp_path_factory.mktemp("pair"), ACK_WAIT_SECONDS="2") as pair:
        yield pair


def captioned(pair, folder, sources, number):
    """`api-gpu caption` as it runs, and the file that it is to write."""
    target = folder / f"{number}.mp4"
    arguments = command("caption", *sources, "-o", target)
    return subprocess.Popen(arguments, cwd=folder, env=environment(pair), stdout=-1, stderr=-2, text=True), target


def ride_out(pair, folder, media, kills):
    with pair.client() as client:
        sources = [client.upload(media.video).name, client.upload(media.srt).name]
        begun = time.monotonic()
        running, target = captioned(pair, folder, sources, "undisturbed")
        with running:
            running.communicate(timeout=60)
        seconds, frames = time.monotonic() - begun, judge.facts(target).frames
        chance = random.Random(kills)
        for number in range(kills):
            running, target = captioned(pair, folder, sources, number)
            time.sleep(chance.uniform(0.2, 1) * seconds)
            old = until_sync(lambda: service(pair, "gateway"))
            os.kill(old.pid, signal.SIGKILL)
            with running:
                text, _ = running.communicate(timeout=120)
            assert (running.returncode, text) == (0, text)
            assert judge.facts(target).frames == frames
            until_sync(lambda: (found := service(pair, "gateway")) and found.pid != old.pid)  # noqa: B023
            if kills > KILLS:  # a service that ends too often is given up by `api-gpu up`
                time.sleep(GIVEN_UP_SECONDS / 4)


@pytest.mark.kills
def test_a_killed_gateway_spoils_no_command(own_pair, tmp_path, media):
    ride_out(own_pair, tmp_path, media, KILLS)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_gateway_killed_at_many_moments_spoils_no_command(own_pair, tmp_path, media):
    ride_out(own_pair, tmp_path, media, MANY_KILLS)
