"""A worker of RunPod on the official SDK, with a small handler: `.build/sdks/runpod/bin/python runpodworker.py SLOTS`.

The input says what to do: {"echo": …}, {"fail": text}, {"raise": text}, {"seconds": …, "steps": …}, {"die": true}; with
`stream` as the second argument {"stream": […]}.
"""

import asyncio
import os
import sys

import runpod


async def handle(job):
    asked = job["input"]
    if "fail" in asked:
        return {"error": asked["fail"]}
    if "raise" in asked:
        raise ValueError(asked["raise"])
    if "die" in asked:
        os._exit(1)
    for step in range(asked.get("steps", 0)):
        runpod.serverless.progress_update(job, {"step": step})
        await asyncio.sleep(asked["seconds"] / asked["steps"])
    return {"echo": asked.get("echo"), "pid": os.getpid()}


async def stream(job):
    for part in job["input"]["stream"]:
        yield part


if __name__ == "__main__":
    slots = int(sys.argv[1])
    handler = stream if "stream" in sys.argv else handle
    runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda current: slots})
