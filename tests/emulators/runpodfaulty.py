"""A worker of RunPod on the official SDK that fails as it is told, then works: `… python runpodfaulty.py FILE`.

FILE has a fault a line, `["UNAVAILABLE", "CODEC_FAILED"]`: gRPC code and reason; the first line is taken by the next
job. A job that finds no line puts its first input back as its result. Faults are written as our worker writes them.
"""

import hashlib
import json
import sys
from base64 import b64encode
from pathlib import Path

import grpc
import httpx
import runpod

from encoder.runpod.worker import to_fault
from servicekit.errors import CLASSES

FAULTS = Path(sys.argv[1])


def next_fault():
    lines = FAULTS.read_text().splitlines()
    FAULTS.write_text("\n".join(lines[1:]))
    return json.loads(lines[0]) if lines else None


async def handle(job):
    if fault := next_fault():
        code, reason = fault
        return {"error": to_fault(CLASSES[grpc.StatusCode[code]]("it failed", reason=reason))}
    async with httpx.AsyncClient(verify=False, timeout=60) as http:
        data = (await http.get(job["input"]["inputUrls"][0])).raise_for_status().content
        digest = hashlib.sha256(data)
        headers = {"content-digest": f"sha-256=:{b64encode(digest.digest()).decode()}:"}
        (await http.put(job["input"]["resultUrl"], content=data, headers=headers)).raise_for_status()
    return {"summary": {"sizeBytes": str(len(data)), "sha256": digest.hexdigest(), "frames": "2", "codec": "x264"}}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handle})
