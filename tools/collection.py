"""The API as a collection of Postman (v2.1), which Bruno and Insomnia import too, from the OpenAPI document."""

import json
import re
from typing import Any

from gateway.rest.openapi.document import document
from gateway.rest.responses import JSON
from gateway.rest.routes import RouteTable

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
HELP = (
    'Set the variables `baseUrl` and `key` of the collection. The folder "First steps" captions the `video` with the '
    "`subtitles`, both http(s) URLs or names of assets; the others have one example of every request. {api}"
)
VARIABLES = {
    "baseUrl": "http://localhost:3000",
    "key": "",
    "video": "https://example.com/talk.mp4",
    "subtitles": "https://example.com/talk.srt",
    "job": "",
    "asset": "",
}
Item = dict[str, Any]


def text() -> str:
    """Return the collection as JSON."""
    return json.dumps(collection(), indent=2, ensure_ascii=False) + "\n"


def collection() -> Item:
    """Return the collection: first steps, then a folder for each service with its requests."""
    api = document(RouteTable())
    folders: dict[str, list[Item]] = {tag["name"]: [] for tag in api["tags"]}
    for path, item in api["paths"].items():
        for method, told in item.items():
            folder = folders[told["tags"][0]]
            known = {each["name"] for each in folder}
            # Bruno keeps each request in a file of its name; a second address of a method has that behind.
            name = told["summary"] if told["summary"] not in known else f"{told['summary']} ({path})"
            folder.append({**_item(method.upper(), path, told), "name": name})
    described = {tag["name"]: tag["description"] for tag in api["tags"]}
    return {
        "info": {"name": "api-gpu", "description": HELP.format(api=api["info"]["description"]), "schema": SCHEMA},
        "auth": {
            "type": "apikey",
            "apikey": [
                {"key": "key", "value": "X-API-Key"},
                {"key": "value", "value": "{{key}}"},
                {"key": "in", "value": "header"},
            ],
        },
        "variable": [{"key": name, "value": value} for name, value in VARIABLES.items()],
        "item": [
            {"name": "First steps", "item": _first_steps()},
            *({"name": name, "description": described[name], "item": items} for name, items in folders.items()),
        ],
    }


def _item(method: str, path: str, told: Item) -> Item:
    """Return one request with the example that the document has of it."""
    request: Item = {
        "method": method,
        "header": [],
        "url": _url(path, told["parameters"]),
        "description": told["description"],
    }
    content = told.get("requestBody", {}).get("content", {})
    if JSON in content:
        request |= _json_body(content[JSON]["examples"]["example"]["value"])
    elif content:
        request["body"] = {"mode": "file", "file": {"src": ""}}
    if told.get("security") == []:
        request["auth"] = {"type": "noauth"}
    return {"name": told["summary"], "request": request, "event": [_test([_answered(told["responses"])])]}


def _answered(told: Item) -> str:
    """Return a test that an answer is none of the gateway's own faults: what it says of a made-up id is not ours."""
    others = [int(status) for status in told if status.isdecimal() and int(status) >= 500]
    allowed = "".join(f" || pm.response.code === {status}" for status in others)
    return f'pm.test("is answered", () => pm.expect(pm.response.code < 500{allowed}).to.be.true);'


def _json_body(value: Any) -> Item:
    body = {"mode": "raw", "raw": json.dumps(value, indent=2, ensure_ascii=False)}
    return {
        "header": [{"key": "Content-Type", "value": JSON}],
        "body": {**body, "options": {"raw": {"language": "json"}}},
    }


def _url(path: str, parameters: list[Item]) -> Item:
    """Return a URL of Postman: variables of the path, and parameters, of which only those with an example are sent."""
    shown = re.sub(r"{(.+?)}", r":\1", path)
    query = [
        {"key": each["name"], "value": value, "description": each["description"], "disabled": "example" not in each}
        for each in parameters
        if each["in"] == "query"
        for value in _texts(each.get("example", ""))
    ]
    variables = [
        {"key": each["name"], "value": str(each.get("example", "")), "description": each["description"]}
        for each in parameters
        if each["in"] == "path"
    ]
    sent = "&".join(f"{each['key']}={each['value']}" for each in query if not each["disabled"])
    url: Item = {"raw": "{{baseUrl}}" + shown + (f"?{sent}" if sent else ""), "host": ["{{baseUrl}}"]}
    return {**url, "path": shown[1:].split("/"), "query": query, "variable": variables}


def _texts(example: Any) -> list[str]:
    return [str(each) for each in example] if isinstance(example, list) else [str(example)]


def _test(lines: list[str]) -> Item:
    return {"listen": "test", "script": {"type": "text/javascript", "exec": lines}}


def _first_steps() -> list[Item]:
    """Return a job from its request to its file: each step keeps what the next one needs in a variable."""
    body = _json_body({"url_video": "{{video}}", "url_srt": "{{subtitles}}"})
    body["header"].append({"key": "Prefer", "value": "respond-async"})
    return [
        _step("Queue a job", "POST", "video/caption", body, [202], 'pm.collectionVariables.set("job", answer.id);'),
        _step(
            "Wait for its end",
            "GET",
            "job/{{job}}",
            {"header": [{"key": "Prefer", "value": "wait=120"}]},
            [200],
            'pm.test("is done", () => pm.expect(answer.status, JSON.stringify(answer.error)).to.equal("COMPLETED"));',
            'pm.collectionVariables.set("asset", answer.output.asset);',
        ),
        _step("Download the result", "GET", "{{asset}}/content", {"header": []}, [200]),
    ]


def _step(name: str, method: str, path: str, request: Item, statuses: list[int], *lines: str) -> Item:
    url = {"raw": "{{baseUrl}}/" + path, "host": ["{{baseUrl}}"], "path": path.split("/")}
    script = [f'pm.test("is answered", () => pm.expect(pm.response.code).to.be.oneOf({statuses}));']
    script += ["const answer = pm.response.json();", *lines] if lines else []
    return {"name": name, "request": {"method": method, "url": url, **request}, "event": [_test(script)]}
