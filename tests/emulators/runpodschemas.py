"""The messages of RunPod's management API, version 2, as far as we send and read them: JSON Schemas of our own, by the
facts of its OpenAPI document. `make providers RUNPOD_OPENAPI=FILE` holds them, and all that is said, against that."""

from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "array", "items": TEXT}
NAME: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 1}
VERSION: Schema = {"type": "string", "pattern": r"^\d+\.\d+$"}
NO_VERSION: Schema = {"type": "string", "pattern": r"^$|^\d+\.\d+$"}
FLASHBOOT: Schema = {"enum": ["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"]}
TYPE: Schema = {"enum": ["QUEUE", "LOAD_BALANCER"]}
STOCK: Schema = {"enum": ["NONE", "LOW", "MEDIUM", "HIGH"]}
TIME: Schema = {"type": "string", "format": "date-time"}


def closed(properties: Schema, *required: str) -> Schema:
    """Return the schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def opened(properties: Schema, *required: str) -> Schema:
    """Return the schema of an object that may have more than these properties."""
    return {"type": "object", "properties": properties, "required": list(required)}


CONTAINER: Schema = {
    "args": TEXT,
    "disk": COUNT,
    "env": {"type": "object", "additionalProperties": TEXT},
    "image": TEXT,
    "ports": TEXTS,
    "registry": {"type": ["string", "null"]},
}
SCALING: Schema = {
    "oneOf": [
        closed(
            {"type": {"const": "QUEUE_DELAY"}, "queueDelay": {"type": "number", "minimum": 0.5}}, "type", "queueDelay"
        ),
        closed({"type": {"const": "REQUEST_COUNT"}, "requestCount": COUNT}, "type", "requestCount"),
    ]
}
WORKERS: Schema = {
    "min": {"type": "integer", "minimum": 0},
    "max": {"type": "integer", "minimum": 0},
    "idleTimeout": {"type": "integer", "minimum": 1, "maximum": 3600},
}
GPU: Schema = {
    "pools": {"type": "array", "minItems": 1, "items": TEXT},
    "excludedTypes": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": r"^\s*[^-\s]"}},
    "count": COUNT,
    "allowedCudaVersions": {"type": "array", "items": VERSION},
}
WANTED: Schema = {
    **CONTAINER,
    "name": NAME,
    "scaling": SCALING,
    "dataCenterIds": TEXTS,
    "flashboot": FLASHBOOT,
    "networkVolumes": TEXTS,
    "timeout": {"type": "integer"},
    "workers": closed(WORKERS),
}
CREATE: Schema = {
    **closed(
        {
            **WANTED,
            "type": TYPE,
            "templateId": NAME,
            "gpu": closed({**GPU, "minCudaVersion": VERSION}, "pools"),
            "cpu": {"type": "array", "minItems": 1},
        },
        "name",
        "type",
        "scaling",
    ),
    "anyOf": [{"required": ["image"]}, {"required": ["templateId"]}],
    "if": {"properties": {"type": {"const": "LOAD_BALANCER"}}, "required": ["type"]},
    "then": {"properties": {"scaling": {"properties": {"type": {"const": "REQUEST_COUNT"}}}}},
}
UPDATE: Schema = closed(
    {
        **WANTED,
        "templateId": TEXT,
        "gpu": {
            **closed({**GPU, "minCudaVersion": NO_VERSION}),
            "dependentRequired": {"excludedTypes": ["pools"]},
        },
        "cpu": {"type": "array", "minItems": 1},
    }
)
ENDPOINT: Schema = opened(
    {
        **CONTAINER,
        "id": TEXT,
        "name": TEXT,
        "type": TYPE,
        "gpu": {
            "anyOf": [
                {"type": "null"},
                opened(
                    {**GPU, "allowedCudaVersions": TEXTS, "minCudaVersion": {"type": ["string", "null"]}},
                    "pools",
                    "allowedCudaVersions",
                    "minCudaVersion",
                ),
            ]
        },
        "workers": closed(WORKERS, "min", "max"),
        "scaling": SCALING,
        "dataCenterIds": TEXTS,
        "networkVolumes": TEXTS,
        "timeout": {"type": "integer"},
        "flashboot": FLASHBOOT,
        "createdAt": TIME,
    },
    *("id", "name", "workers", "scaling", "dataCenterIds", "networkVolumes", "timeout", "flashboot", "createdAt"),
)
ENDPOINTS: Schema = opened({"endpoints": {"type": "array", "items": ENDPOINT}}, "endpoints")
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
PRICE: Schema = opened({"secure": NUMBER, "community": NUMBER, "serverless": NUMBER}, "secure", "community")
MOST: Schema = opened({"secure": INTEGER, "community": INTEGER}, "secure", "community")
CARD: Schema = opened(
    {
        "id": TEXT,
        "name": TEXT,
        "pool": {"type": ["string", "null"]},
        "manufacturer": {"enum": ["NVIDIA", "AMD", "UNKNOWN"]},
        "memory": {"type": "integer"},
        "secure": {"type": "boolean"},
        "community": {"type": "boolean"},
        "price": PRICE,
        "maxCount": MOST,
        "availability": STOCK,
    },
    *("id", "name", "pool", "manufacturer", "memory", "secure", "community", "price", "maxCount"),
)
CARDS: Schema = opened({"gpus": {"type": "array", "items": CARD}}, "gpus")
PROBLEM: Schema = opened(
    {"title": TEXT, "status": {"type": "integer"}, "detail": TEXT, "errors": TEXTS}, "title", "status", "detail"
)

REQUESTS: dict[tuple[str, str], Schema] = {
    ("POST", "/v2/serverless"): CREATE,
    ("PATCH", "/v2/serverless/{id}"): UPDATE,
}
ANSWERS: dict[tuple[str, str], Schema] = {
    ("GET", "/v2/serverless"): ENDPOINTS,
    ("POST", "/v2/serverless"): ENDPOINT,
    ("GET", "/v2/serverless/{id}"): ENDPOINT,
    ("PATCH", "/v2/serverless/{id}"): ENDPOINT,
    ("GET", "/v2/catalog/gpus"): CARDS,
}


def faults(schema: Schema, value: Any) -> list[str]:
    """Return what is wrong with a value, as the API lists it; nothing for a valid one."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)]
