"""The emulator of Vast.ai answers the real SDK, which runs in an environment of its own."""

import json
import os
import subprocess
import sys

import pytest

from tests.emulators.encoderhost import Container
from tests.emulators.vastemulator import INTERVALS, KEY, READ_ONLY_KEY, VastEmulator
from tests.emulators.vastmarket import offer
from tests.support.paths import ROOT

SDK = ROOT / ".build" / "sdks" / "vastai" / "bin" / "python"

LIFE = """
import json, sys, time
from vastai import VastAI
vast = VastAI(api_key=sys.argv[1], server_url=sys.argv[2])
told = {"user": vast.show_user()}
query = "gpu_name in [RTX_4090,L4] driver_version>=530.0.0 reliability>0.98 num_gpus=1 dph_total<0.6 inet_down>=200"
told["offers"] = vast.search_offers(query, order="dph_total", limit=2, storage=20)
number = told["offers"][0]["id"]
told["created"] = vast.create_instance(
    number, image="org/encoder:1", disk=20, env={"-p 50052:50052": "1", "COLOR": "blue"}, label="one", runtype="args"
)
new = told["created"]["new_contract"]
until = time.time() + 60
while vast.show_instance(new)["actual_status"] != "running" and time.time() < until:
    time.sleep(0.05)
told["instance"] = vast.show_instance(new)
vast.label_instance(new, "two")
told["instances"] = vast.show_instances()
told["destroyed"] = vast.destroy_instance(new)
told["left"] = vast.show_instances()
told["gone"] = vast.show_instance(new)
print(json.dumps(told))
"""

FAULTS = """
import json, sys, requests
from vastai import VastAI

def status(call):
    try:
        call()
    except requests.HTTPError as error:
        return [error.response.status_code, error.response.text]

vast = VastAI(api_key=sys.argv[1], server_url=sys.argv[2])
number = int(sys.argv[3])
once = VastAI(api_key=sys.argv[1], server_url=sys.argv[2], retry=1)
print(json.dumps({
    "taken": status(lambda: vast.create_instance(1, image="i")),
    "no_image": status(lambda: vast.create_instance(number)),
    "not_there": status(lambda: vast.destroy_instance(1)),
    "bad_query": status(lambda: vast.search_offers({"colour": {"eq": "blue"}})),
    "wrong_key": status(lambda: VastAI(api_key="wrong", server_url=sys.argv[2]).show_instances()),
    "no_right": status(lambda: VastAI(api_key=sys.argv[4], server_url=sys.argv[2]).create_instance(number, image="i")),
    "soon": [status(once.show_user), status(once.show_user)],
    "in_time": status(vast.show_user),
}))
"""


def run(script, *arguments):
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = [str(SDK), "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def life():
    processes = []

    def launch(image, environment, label):
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        processes.append((subprocess.Popen(command), image, environment, label))
        return Container(processes[-1][0], {"50052/tcp": 41001})

    market = [
        offer(dph_base=0.5, gpu_name="L4"),
        offer(dph_base=0.3),
        offer(dph_base=0.4),
        offer(dph_base=0.1, driver_version="515.43.04"),
        offer(dph_base=0.1, reliability=0.9),
        offer(dph_base=0.1, gpu_name="H100 SXM"),
        offer(dph_base=0.1, verification="unverified"),
        offer(dph_base=0.1, rentable=False),
    ]
    with VastEmulator(market, launch, time_scale=3600.0) as vast:
        told = run(LIFE, KEY, vast.url)
        yield told, market, processes, vast.spent_usd


def test_the_sdk_finds_what_its_query_names_the_cheapest_first(life):
    told, market, _, _ = life
    assert [row["id"] for row in told["offers"]] == [market[1]["id"], market[2]["id"]]
    assert told["offers"][0]["dph_total"] == pytest.approx(0.3 + 0.15 * 20 / 720)


def test_the_sdk_follows_an_instance_through_its_life(life):
    told, market, processes, _ = life
    assert told["created"]["success"] is True
    ((process, image, environment, label),) = processes
    assert (image, environment, label) == ("org/encoder:1", {"COLOR": "blue"}, "one")
    instance = told["instance"]
    assert (instance["actual_status"], instance["machine_id"]) == ("running", market[1]["machine_id"])
    assert instance["ports"]["50052/tcp"][0] == {"HostIp": "0.0.0.0", "HostPort": "41001"}
    assert instance["extra_env"] == {"-p 50052:50052": "1", "COLOR": "blue"}
    assert [row["label"] for row in told["instances"]] == ["two"]
    assert told["destroyed"]["success"] is True
    assert (told["left"], told["gone"]) == ([], None)
    assert process.poll() is not None


def test_money_flows_while_an_instance_lives(life):
    told, _, _, spent_usd = life
    assert told["user"]["credit"] == 10
    assert 0 < spent_usd < 3


def test_faults_reach_the_sdk_as_the_real_ones_do():
    row = offer()
    with VastEmulator([row], pace=0.02) as vast:
        told = run(FAULTS, KEY, vast.url, row["id"], READ_ONLY_KEY)
    errors = {name: [status, json.loads(text)["error"]] for name, (status, text) in list(told.items())[:6]}
    assert errors == {
        "taken": [410, "no_such_ask"],
        "no_image": [400, "invalid_args"],
        "not_there": [404, "no_such_instance"],
        "bad_query": [400, "invalid_args"],
        "wrong_key": [401, "auth_error"],
        "no_right": [403, "forbidden"],
    }
    assert told["in_time"] is None  # it waits a little, and asks again


def test_a_call_that_comes_too_soon_is_told_when_to_come(monkeypatch):
    monkeypatch.setitem(INTERVALS, "user", 3000.0)
    with VastEmulator([offer()], pace=0.02) as vast:
        told = run(FAULTS, KEY, vast.url, 1, READ_ONLY_KEY)
    assert told["soon"] == [None, [429, "API requests too frequent: endpoint threshold=60.000"]]
