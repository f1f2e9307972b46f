"""Workflows of n8n that caption a video: one that waits for the answer, one that a webhook of the job wakes up."""

import json
from itertools import pairwise
from typing import Any

from gateway.rest.openapi.examples import examples

JSON_BODY = {"sendBody": True, "specifyBody": "json"}
CREDENTIAL = {"authentication": "genericCredentialType", "genericAuthType": "httpHeaderAuth"}
SETTINGS = "Settings"
# Left of it is what starts the flow; each step goes on to the right.
STEP_PIXELS, ROW_PIXELS = 220, 180
NOTE = """## {title}

1. In **Settings** say where the gateway is, and which files it is to take.
2. Make a credential of the kind *Header Auth* for the HTTP nodes: name `X-API-Key`, value your key.

{more}"""
WAITS = "The first call answers when the video is done, within five minutes; for longer work take the other workflow."
CALLED = "The gateway calls the Wait node once the job has ended: it must reach the address that n8n has for webhooks."
Node = dict[str, Any]


def texts() -> dict[str, str]:
    """Return the workflows as JSON, by the names of their files."""
    made = {"caption.json": synchronous(), "caption-async.json": asynchronous()}
    return {name: json.dumps(workflow, indent=2, ensure_ascii=False) + "\n" for name, workflow in made.items()}


def synchronous() -> Node:
    """Return the workflow whose call lasts as long as the job."""
    steps = [
        _trigger(),
        _settings(),
        _call("Caption the video", "POST", "video/caption", _body(), timeout_seconds=300),
        _download("={{ $json.video_url }}"),
    ]
    return _workflow("api-gpu: caption a video", NOTE.format(title="Caption a video", more=WAITS), steps)


def asynchronous() -> Node:
    """Return the workflow that sleeps until the gateway tells it of the end of the job."""
    queue = _call("Queue the job", "POST", "video/caption", _body("webhook_url"), prefer="respond-async")
    steps = [
        _trigger(),
        _settings(),
        queue,
        _node("Wait for the job", "wait", 1.1, {"resume": "webhook", "httpMethod": "POST", "options": {}}),
        _is_completed(),
        _download("={{ $json.body.data.output.video_url }}"),
    ]
    failed = _node("Job failed", "stopAndError", 1, {"errorMessage": "={{ $json.body.data.error.message }}"})
    note = NOTE.format(title="Caption a video, without waiting", more=CALLED)
    return _workflow("api-gpu: caption a video, called back", note, steps, otherwise={"Is it done?": failed})


def _body(*more: str) -> str:
    """Return the body of the example of Caption as an expression, with files from the settings."""
    request = examples()["VideoService.Caption"]["request"]
    values = {**request, "url_video": _setting("video"), "url_srt": _setting("subtitles")}
    values |= dict.fromkeys(more, "{{ $execution.resumeUrl }}")
    return "=" + json.dumps(values, indent=2)


def _setting(name: str) -> str:
    return f"{{{{ $('{SETTINGS}').item.json.{name} }}}}"


def _trigger() -> Node:
    return _node("Start", "manualTrigger", 1, {})


def _settings() -> Node:
    request = examples()["VideoService.Caption"]["request"]
    values = {"gateway": "http://localhost:3000", "video": request["url_video"], "subtitles": request["url_srt"]}
    assignments = [{"id": name, "name": name, "value": value, "type": "string"} for name, value in values.items()]
    return _node(SETTINGS, "set", 3.4, {"assignments": {"assignments": assignments}, "options": {}})


def _call(name: str, method: str, path: str, body: str, *, prefer: str = "", timeout_seconds: int = 60) -> Node:
    headers = {"sendHeaders": True, "headerParameters": {"parameters": [{"name": "Prefer", "value": prefer}]}}
    parameters = {
        "method": method,
        "url": f"={_setting('gateway')}/{path}",
        **CREDENTIAL,
        **(headers if prefer else {}),
        **JSON_BODY,
        "jsonBody": body,
        "options": {"timeout": timeout_seconds * 1000},
    }
    return _node(name, "httpRequest", 4.2, parameters)


def _download(url: str) -> Node:
    as_file = {"response": {"response": {"responseFormat": "file"}}}
    return _node("Download the video", "httpRequest", 4.2, {"url": url, "options": as_file})


def _is_completed() -> Node:
    condition = {
        "id": "completed",
        "leftValue": "={{ $json.body.data.status }}",
        "rightValue": "COMPLETED",
        "operator": {"type": "string", "operation": "equals"},
    }
    options = {"caseSensitive": True, "leftValue": "", "typeValidation": "strict", "version": 2}
    conditions = {"options": options, "conditions": [condition], "combinator": "and"}
    return _node("Is it done?", "if", 2.2, {"conditions": conditions, "options": {}})


def _node(name: str, kind: str, version: float, parameters: Node) -> Node:
    identity = name.lower().replace(" ", "-").rstrip("?")
    return {
        "parameters": parameters,
        "id": identity,
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [0, 0],
    }


def _workflow(name: str, note: str, steps: list[Node], otherwise: dict[str, Node] | None = None) -> Node:
    """Return a workflow of steps in a row; `otherwise` has what follows a step whose condition does not hold."""
    others = otherwise or {}
    for index, step in enumerate(steps):
        step["position"] = [index * STEP_PIXELS, 0]
    for after, other in others.items():
        place = next(index for index, step in enumerate(steps) if step["name"] == after)
        other["position"] = [(place + 1) * STEP_PIXELS, ROW_PIXELS]
    sticky = _node("Note", "stickyNote", 1, {"content": note, "height": 240, "width": 460})
    sticky["position"] = [0, -2 * ROW_PIXELS]
    connections: Node = {}
    for step, following in pairwise(steps):
        ends = [[_end(following)], [_end(others[step["name"]])]] if step["name"] in others else [[_end(following)]]
        connections[step["name"]] = {"main": ends}
    return {
        "name": name,
        "nodes": [sticky, *steps, *others.values()],
        "connections": connections,
        "settings": {"executionOrder": "v1"},
        "pinData": {},
    }


def _end(node: Node) -> Node:
    return {"node": node["name"], "type": "main", "index": 0}
