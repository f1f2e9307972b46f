"""What no descriptor tells of the OpenAPI document: errors, headers, signed links."""

from typing import Any

from gateway.rest.openapi.schemas import Schema
from gateway.rest.prefer import MAX_WAIT_SECONDS, RESPOND_ASYNC
from gateway.rest.responses import JSON
from servicekit.errors import CODES

BINARY: Schema = {"type": "string", "format": "binary"}
OCTETS: dict[str, Any] = {"application/octet-stream": {"schema": BINARY}}
# A stored file has a media type of its own.
FILE: dict[str, Any] = {**OCTETS, "*/*": {"schema": BINARY}}
ERROR: Schema = {
    "type": "object",
    "description": "What went wrong: `error` and `message` for people, the rest is google.rpc.Status for programs.",
    "required": ["error", "message", "code", "status", "details"],
    "properties": {
        "error": {"type": "string", "description": "What failed, in few words.", "examples": ["Bad Request"]},
        "message": {"type": "string", "description": "What went wrong and what to do."},
        "code": {
            "type": "integer",
            "description": "Canonical gRPC code.",
            "minimum": 1,
            "maximum": max(CODES),
            "examples": [3],
        },
        "status": {
            "type": "string",
            "description": "Its name.",
            "enum": [code.name for number, code in sorted(CODES.items()) if number],
            "examples": ["INVALID_ARGUMENT"],
        },
        "details": {
            "type": "array",
            "description": "Messages of google.rpc: ErrorInfo with a reason, BadRequest with the fields at fault.",
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {"@type": {"type": "string"}},
                "additionalProperties": True,
            },
        },
    },
}
STATUS: Schema = {
    "type": "object",
    "description": "google.rpc.Status.",
    "required": ["message", "code", "status", "details"],
    "properties": {name: schema for name, schema in ERROR["properties"].items() if name != "error"},
}
ERROR_REFERENCE: Schema = {"$ref": "#/components/schemas/Error"}
# Every error has the same body, whatever its code.
ERROR_RESPONSES: Schema = {codes: {"$ref": "#/components/responses/Error"} for codes in ("4XX", "5XX")}
HEADERS: Schema = {
    "RequestId": {
        "description": "Names the request in the gateway's logs: the client's own X-Request-Id, or a new one.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "RetryAfter": {
        "description": "Seconds after which the request may succeed.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}
REQUEST_ID: Schema = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
_DETAILS = "type.googleapis.com/google.rpc."
ERROR_EXAMPLE: Schema = {
    "error": "Bad Request",
    "message": "url_video and url_srt are required",
    "code": 3,
    "status": "INVALID_ARGUMENT",
    "details": [
        {"@type": f"{_DETAILS}ErrorInfo", "reason": "MISSING_FIELD", "domain": "api-gpu", "metadata": {}},
        {"@type": f"{_DETAILS}BadRequest", "fieldViolations": [{"field": "url_srt", "description": "required"}]},
    ],
}
ERROR_RESPONSE: Schema = {
    "description": "The request failed.",
    "headers": {**REQUEST_ID, "Retry-After": {"$ref": "#/components/headers/RetryAfter"}},
    "content": {JSON: {"schema": ERROR_REFERENCE, "examples": {"example": {"value": ERROR_EXAMPLE}}}},
}
_WAITS = f'"wait=20" waits for the job for 20 seconds, {MAX_WAIT_SECONDS} at most, and answers with what there is then.'
WAIT: Schema = {
    "name": "Prefer",
    "in": "header",
    "description": f"RFC 7240: {_WAITS}",
    "schema": {"type": "string", "examples": ["wait=20"]},
}
IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of requests with the same key and body the first makes the job, and all get it.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
PREFER: Schema = {
    **WAIT,
    "description": f'RFC 7240: "{RESPOND_ASYNC}" queues the operation and answers at once with its job; {_WAITS}',
    "schema": {"type": "string", "examples": [RESPOND_ASYNC, "wait=20"]},
}
APPLIED: Schema = {
    "Preference-Applied": {"description": "What was followed of Prefer.", "schema": {"type": "string"}},
}
NOT_MODIFIED: Schema = {"description": "The client has this already, by If-None-Match.", "headers": REQUEST_ID}
OVER: Schema = {
    "description": "Of server-sent events: there are none behind Last-Event-ID; do not connect again.",
    "headers": REQUEST_ID,
}
# A file by form: one file, and what else is known of it before.
FORM: Schema = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "filename": {"type": "string", "description": "In place of the file's own name."},
        "file": {**BINARY, "description": "The file; any name will do for this field."},
    },
}
DIGEST: Schema = {
    "name": "Content-Digest",
    "in": "header",
    "description": 'SHA-256 of the file, "sha-256=:BASE64:"; what comes is held against it.',
    "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
}


def _text_parameter(name: str, place: str, description: str, example: str, **limits: Any) -> Schema:
    schema = {"type": "string", **limits}
    told = {"name": name, "in": place, "required": True, "description": description}
    return {**told, "schema": schema, "example": example}


def _webhook_header(name: str, description: str, pattern: str) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": pattern},
    }


WEBHOOK_HEADERS: list[Schema] = [
    _webhook_header("Webhook-Id", "The same at each attempt.", "^msg_[0-9a-f]{32}_[a-z0-9-]+$"),
    _webhook_header("Webhook-Timestamp", "When the call was made, Unix time.", "^[0-9]+$"),
    _webhook_header("Webhook-Signature", "Signatures by Standard Webhooks, one for each secret.", "^v1,"),
]
FILES_PATH = "/files/{id}/{filename}"
FILES_TAG: Schema = {"name": "Files", "description": "Stored files by signed links, which need no key."}
PROOF = (
    _text_parameter("expires", "query", "Until when the link opens, Unix time.", "1790330400", pattern="^[0-9]+$"),
    _text_parameter("signature", "query", "Proves that the gateway made the link.", "Q2hKx0vQ6m8u3T5yB1nWcA"),
)
FILES: Schema = {
    "operationId": "Files_Get",
    "tags": [FILES_TAG["name"]],
    "summary": "Opens a signed link",
    "description": "What `video_url` and `download_url` point at. Needs no key; takes Range and conditional requests.",
    "security": [],
    "parameters": [
        _text_parameter("id", "path", "Id of the asset.", "ktwx5q3mzr7c2hvb6ynd4fjgle"),
        _text_parameter("filename", "path", "Name of the file; for people.", "talk-caption.mp4"),
        *PROOF,
        {
            "name": "download",
            "in": "query",
            "description": "1 makes browsers save the file instead of showing it.",
            "schema": {"type": "string", "enum": ["1"]},
        },
    ],
    "responses": {
        "200": {"description": "The file itself.", "headers": REQUEST_ID, "content": dict(FILE)},
        "206": {"description": "The part that Range asked for.", "headers": REQUEST_ID, "content": dict(FILE)},
        "304": NOT_MODIFIED,
        **ERROR_RESPONSES,
    },
}
_PLAYLIST = (
    "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-STREAM-INF:BANDWIDTH=2650000,RESOLUTION=1920x1080\nvideo.m3u8?expires=…\n"
)
PREVIEW_PATH = "/job/{id}/preview.m3u8"
PREVIEW: Schema = {
    "operationId": "Preview_Get",
    "tags": [FILES_TAG["name"]],
    "summary": "Plays a film while it is made, and after",
    "description": "What `preview.url` of a job points at: a playlist of HTTP Live Streaming. Needs no key; answers "
    "503 until the first piece of the film is there.",
    "security": [],
    "parameters": [_text_parameter("id", "path", "Id of the job.", "01997a6e2f0c7b3d9a415e8c6d2f0b17"), *PROOF],
    "responses": {
        "200": {
            "description": "The playlist.",
            "headers": REQUEST_ID,
            "content": {"application/vnd.apple.mpegurl": {"schema": {"type": "string"}, "example": _PLAYLIST}},
        },
        **ERROR_RESPONSES,
    },
}
