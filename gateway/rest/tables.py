"""Responses as tables: CSV (RFC 4180), where the method's options name the field that is one."""

import csv
import io
from typing import Any

from google.protobuf.message import Message
from starlette.datastructures import Headers

from apigpu.v1 import options_pb2
from gateway.rest.protojson.encode import field_json
from gateway.rest.responses import JSON
from gateway.rest.routes import Route

CSV = "text/csv"
FORMAT_FIELD = "format"
# Text that begins so is taken for a formula by spreadsheets.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table_field(route: Route) -> str:
    """Return the field of the response that is a table; "" where none is."""
    return str(route.method.GetOptions().Extensions[options_pb2.method].csv)


def wants_csv(route: Route, request: Message, headers: Headers) -> bool:
    """Return True for a request whose answer is to be a table: it says so, or accepts CSV rather than JSON."""
    if not table_field(route):
        return False
    said = getattr(request, FORMAT_FIELD, "")
    accepted = [part.partition(";")[0].strip() for part in headers.get("accept", "").lower().split(",")]
    return said == "csv" or (not said and next((kind for kind in accepted if kind in (CSV, JSON)), JSON) == CSV)


def to_csv(response: Message, name: str) -> bytes:
    """Return the messages of a repeated field as lines, below one with the names of their fields."""
    field: Any = response.DESCRIPTOR.fields_by_name[name]
    columns = field.message_type.fields
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column.name for column in columns])
    for line in getattr(response, name):
        writer.writerow([_cell(field_json(line, column)) for column in columns])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
