"""What commands find, as JSON for programs: the names are those of the Python client."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from api_gpu.requests import to_plain
from servicekit.errors import ServiceError


def print_json(value: Any) -> None:
    """Print a value on stdout."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def plain(value: Any) -> Any:
    """Return what `json` can write: of dataclasses the fields by which they are compared, of errors what they say, of
    messages what the JSON surface has, times in ISO 8601."""
    match value:
        case Message():
            return to_plain(value)
        case ServiceError():
            return {"status": value.code.name, "reason": value.reason, "message": value.message}
        case datetime():
            return value.isoformat()
        case dict():
            return {str(name): plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case Path():
            return str(value)
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.compare}
    return value
