"""RunPod's own clients: `.build/sdks/runpod/bin/python runpodclient.py ENDPOINT` prints what they saw, as JSON.

RUNPOD_ENDPOINT_BASE_URL and RUNPOD_API_KEY say where and as whom. It begins when it is told a line.
"""

import asyncio
import json
import os
import sys

import requests
import runpod
from runpod import AsyncioEndpoint, http_client

runpod.api_key = os.environ["RUNPOD_API_KEY"]


def blocking(endpoint_id):
    endpoint = runpod.Endpoint(endpoint_id)
    seen = {"health": endpoint.health()}
    job = endpoint.run({"echo": "one"})
    seen["first"] = job.status()
    failing = endpoint.run({"fail": "no"})
    seen["sync"] = endpoint.run_sync({"echo": "two"}, timeout=30)
    seen["output"] = job.output(timeout=30)
    seen["status"] = job.status()
    failing.output(timeout=30)
    seen["failed"] = failing.status()
    long = endpoint.run({"seconds": 30, "steps": 1})
    seen["cancel"] = long.cancel()
    seen["purge"] = endpoint.purge_queue()
    try:
        runpod.Endpoint(endpoint_id, api_key="wrong").health()
    except RuntimeError as error:
        seen["unauthorized"] = str(error)
    try:
        runpod.Endpoint("nosuch").health()
    except requests.HTTPError as error:
        seen["unknown"] = error.response.status_code
    return seen


async def concurrent(endpoint_id):
    async with http_client.AsyncClientSession() as session:
        endpoint = AsyncioEndpoint(endpoint_id, session)
        job = await endpoint.run({"echo": "three"})
        seen = {"output": await job.output(timeout=30), "status": await job.status()}
        long = await endpoint.run({"seconds": 30, "steps": 1})
        seen["cancel"] = await long.cancel()
        seen["health"] = await endpoint.health()
        seen["purge"] = await endpoint.purge_queue()
        return seen


if __name__ == "__main__":
    sys.stdin.readline()
    print(json.dumps({"blocking": blocking(sys.argv[1]), "concurrent": asyncio.run(concurrent(sys.argv[1]))}))
