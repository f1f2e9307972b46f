"""Write the examples of the API, and the OpenAPI document with them, from protos/examples.

examples.py write FOLDER    write FOLDER/apigpu/examples.json and FOLDER/apigpu/openapi.json
"""

import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf import message_factory

from apigpu.v1 import jobs_pb2
from gateway.rest.openapi import document
from gateway.rest.openapi.examples import REQUEST, RESPONSE, WEBHOOK
from gateway.rest.protojson import decode
from gateway.rest.protojson.encode import to_json
from gateway.rest.routes import PUBLIC, RouteTable

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "protos" / "examples"


def read() -> dict[str, dict[str, Any]]:
    """Return the examples by "Service.Method", as people wrote them."""
    files = sorted(SOURCES.glob("*.json"))
    return {f"{file.stem}.{name}": example for file in files for name, example in json.loads(file.read_text()).items()}


def completed() -> dict[str, dict[str, Any]]:
    """Return the examples with all that the gateway writes into answers, also where it is empty.

    Raises InvalidArgument for what no message has, SystemExit for a method without an example, and for one that there
    is not.
    """
    answers = {f"{service.name}.{method.name}": method.output_type for service in PUBLIC for method in service.methods}
    found = read()
    call = found.pop(WEBHOOK)
    if odd := answers.keys() ^ found.keys():
        raise SystemExit(f"protos/examples must have each method, and no other, in the file of its service: {min(odd)}")
    told = {
        name: {REQUEST: example[REQUEST], RESPONSE: _written(answers[name], example[RESPONSE])}
        for name, example in found.items()
    }
    return told | {WEBHOOK: {REQUEST: _written(jobs_pb2.WebhookPayload.DESCRIPTOR, call[REQUEST])}}


def _written(descriptor: Any, value: Any) -> Any:
    message = message_factory.GetMessageClass(descriptor)()
    decode.merge(message, value)
    return _ordered(to_json(message), value)


def _ordered(written: Any, source: Any) -> Any:
    """Return an answer whose maps are in the order of the source: messages keep them in none."""
    if isinstance(written, list) and isinstance(source, list):
        return [_ordered(*pair) for pair in zip(written, source, strict=True)]
    if not isinstance(written, dict) or not isinstance(source, dict):
        return written
    names = source if source.keys() == written.keys() else written
    return {name: _ordered(written[name], source.get(name)) for name in names}


def write(folder: Path) -> None:
    """Write both files; the document reads the examples that were just written."""
    _write(folder / "apigpu" / "examples.json", completed())
    _write(folder / "apigpu" / "openapi.json", document.document(RouteTable()))


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] != ["write"] or len(sys.argv) != 3:
        sys.exit(__doc__)
    write(Path(sys.argv[2]))
