"""A gateway of which the protos know one operation more, and nothing else does: run by test_toy_operation.py."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import httpx

from apigpu.encoder.v1 import encoder_pb2
from servicekit.chunks import Checksum
from tests.integration.gateway.jobs.conftest import ScriptedEncoder
from tests.support import whole_gateway

FIRST, SECOND = b"first result", b"second result"


class MosaicEncoder(ScriptedEncoder):
    """Makes two results, neither of them a video, and keeps the tasks that it was sent."""

    async def Encode(self, requests, context):
        task = None
        await context.send_initial_metadata((("x-accepted", "1"),))
        async for request in requests:
            if request.WhichOneof("part") == "task":
                task = request.task
        SEEN.append([[item.field, *item.also] for item in task.inputs])
        yield encoder_pb2.EncodeResponse(chunk=FIRST)
        file = encoder_pb2.ResultFile(name="notes.txt", content_type="text/plain")
        yield encoder_pb2.EncodeResponse(file=file)
        yield encoder_pb2.EncodeResponse(chunk=SECOND)
        file.size_bytes, file.sha256 = measured(SECOND)
        size_bytes, sha256 = measured(FIRST)
        yield encoder_pb2.EncodeResponse(
            summary=encoder_pb2.Summary(
                size_bytes=size_bytes, sha256=sha256, content_type="application/json", files=[file]
            )
        )


SEEN = []


def measured(data):
    checksum = Checksum()
    checksum.add(data)
    return checksum.size_bytes, checksum.sha256


async def main(folder):
    whole_gateway.ScriptedEncoder = MosaicEncoder
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(whole_gateway.opened(folder))
        opened = httpx.AsyncClient(base_url=served.http_url, headers={"X-API-Key": "key"}, timeout=30)
        http = await stack.enter_async_context(opened)
        a, b = [(await http.put("/assets/v.bin", content=data)).json()["name"] for data in (b"a", b"b")]
        body = {"url_videos": [a, b, a], "tiles": [{"url": b, "title": "x"}, {"title": "y"}, {"url": a}]}
        answer = await http.post("/video/mosaic", json=body)
        job = (await http.get(f"/job/{answer.json()['stats']['jobId']}")).json()
        files = [(await http.get(file["url"])).text for file in job["output"]["files"]]
        root = (await http.get("/")).json()
        refused = await http.post("/video/mosaic", json={"url_videos": [a], "tiles": [{"title": "x" * 9}] * 4})
    print(json.dumps([answer.status_code, answer.json(), job, files, SEEN, root, refused.json()["message"]]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
