"""The workflows of n8n: whole, and their steps carried out against a running pair, by as much of n8n as they use."""

import json
import re

import httpx
import pytest
from jsonschema import Draft202012Validator

from gateway.rest.openapi.document import document
from gateway.rest.routes import RouteTable
from tests.support.hook_receiver import HookReceiver
from tests.support.paths import ROOT
from tests.support.until import until_sync
from tools.media_check import footage

FOLDER = ROOT / "docs" / "n8n"
FILES = sorted(path.name for path in FOLDER.glob("*.json"))
DOCUMENT = document(RouteTable())
NONE = {"parameters": []}
EXPRESSION = re.compile(r"{{(.+?)}}", re.DOTALL)
REFERENCE = re.compile(r"(?:\$\('(?P<node>[^']+)'\)\.item\.json|(?P<root>\$json|\$execution))(?P<path>(?:\.\w+)+)")


def read(name):
    return json.loads((FOLDER / name).read_text())


class Flow:
    """Carries out one step after the other, of the kinds that these workflows have."""

    def __init__(self, workflow, key, settings, resume_url="", resumed=None):
        self.nodes = {node["name"]: node for node in workflow["nodes"]}
        self.connections = workflow["connections"]
        self.key, self.settings, self.resumed = key, settings, resumed
        self.execution = {"resumeUrl": resume_url}
        self.outputs, self.current, self.file = {}, {}, b""

    def value(self, text):
        """What an expression gives; a text without "=" stands for itself."""
        return EXPRESSION.sub(lambda found: str(self._read(found[1].strip())), text[1:]) if text[:1] == "=" else text

    def _read(self, expression):
        found = REFERENCE.fullmatch(expression)
        assert found, f"{expression} is more than these tests know of n8n"
        value = self.outputs[found["node"]] if found["node"] else self.current
        value = self.execution if found["root"] == "$execution" else value
        for name in found["path"][1:].split("."):
            value = value[name]
        return value

    def run(self, name):
        """Carry out the node and what follows it; return the last one's name."""
        while True:
            node = self.nodes[name]
            kind = node["type"].rpartition(".")[2]
            branch = getattr(self, "choose" if kind == "if" else kind)(node["parameters"])
            self.outputs[name] = self.current
            ends = self.connections.get(name, {"main": []})["main"]
            if len(ends) <= (branch or 0):
                return name
            name = ends[branch or 0][0]["node"]

    def manualTrigger(self, _):
        self.current = {}

    def set(self, parameters):
        given = {each["name"] for each in parameters["assignments"]["assignments"]}
        assert given == self.settings.keys()
        self.current = self.settings

    def httpRequest(self, parameters):
        headers = {each["name"]: each["value"] for each in parameters.get("headerParameters", NONE)["parameters"]}
        if "genericAuthType" in parameters:
            headers["X-API-Key"] = self.key
        body = json.loads(self.value(parameters["jsonBody"])) if parameters.get("sendBody") else None
        url, timeout = self.value(parameters["url"]), parameters["options"].get("timeout", 60_000) / 1000
        answer = httpx.request(parameters.get("method", "GET"), url, headers=headers, json=body, timeout=timeout)
        assert answer.is_success, answer.text
        if "response" in parameters["options"]:
            self.file, self.current = answer.content, {}
        else:
            self.current = answer.json()

    def wait(self, parameters):
        assert (parameters["resume"], parameters["httpMethod"]) == ("webhook", "POST")
        self.current = {"body": self.resumed()}

    def choose(self, parameters):
        (condition,) = parameters["conditions"]["conditions"]
        return 0 if self.value(condition["leftValue"]) == condition["rightValue"] else 1

    def stopAndError(self, parameters):
        self.current = {"error": self.value(parameters["errorMessage"])}


@pytest.fixture
def settings(pair, media):
    with pair.client() as client:
        video, subtitles = client.upload(media.video), client.upload(media.subtitles)
        yield {"gateway": pair.http_url, "video": video.name, "subtitles": subtitles.name}


@pytest.mark.parametrize("name", FILES)
def test_a_workflow_is_whole(name):
    workflow = read(name)
    names = [node["name"] for node in workflow["nodes"]]
    assert len(set(names)) == len({node["id"] for node in workflow["nodes"]}) == len(names)
    ends = [end["node"] for outputs in workflow["connections"].values() for each in outputs["main"] for end in each]
    assert {*workflow["connections"], *ends} | {"Note"} == {*names}
    for node in workflow["nodes"]:
        if node["type"].endswith("httpRequest") and "method" in node["parameters"]:
            path = node["parameters"]["url"].rpartition("}}")[2]
            told = DOCUMENT["paths"][path][node["parameters"]["method"].lower()]
            body = EXPRESSION.sub("https://example.com/x", node["parameters"]["jsonBody"][1:])
            schema = told["requestBody"]["content"]["application/json"]["schema"]
            Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(json.loads(body))


def test_the_workflow_that_waits_downloads_the_video(pair, settings, tmp_path):
    flow = Flow(read("caption.json"), pair.key, settings)
    assert flow.run("Start") == "Download the video"
    (tmp_path / "captioned.mp4").write_bytes(flow.file)
    assert footage(tmp_path / "captioned.mp4").frames == 50


@pytest.mark.parametrize(("broken", "last"), [(False, "Download the video"), (True, "Job failed")])
def test_the_workflow_that_is_called_back_goes_on(pair, settings, broken, last):
    if broken:
        settings["video"] = settings["subtitles"]
    with HookReceiver() as receiver:

        def wait():
            until_sync(lambda: receiver.calls)
            return receiver.bodies[0]

        flow = Flow(read("caption-async.json"), pair.key, settings, receiver.url, wait)
        assert flow.run("Start") == last
    assert flow.current["error"] if broken else flow.file[4:8] == b"ftyp"
