"""kill -9 of a gateway that puts a result: the next one puts it to the same place, and the job ends once."""

import asyncio
import signal

from tests.integration.gateway.jobs.conftest import ScriptedEncoder, serving
from tests.support.lone_gateway import LoneGateway
from tests.support.put_receiver import HANG, PutReceiver
from tests.support.until import until


async def test_what_a_killed_gateway_did_not_put_the_next_one_puts(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"a video")
    made = LoneGateway(tmp_path, FETCH_ALLOW_CIDRS="127.0.0.0/8")
    with PutReceiver(HANG) as receiver:
        async with serving(ScriptedEncoder(), made.certificates) as port:
            made.environment["ENCODERS"] = f"localhost:{port}"
            gateway = await asyncio.to_thread(made.__enter__)
            try:
                source = await asyncio.to_thread(gateway.upload, tmp_path / "a.mp4")
                body = {"thumbnail": {"url_video": source}, "output": {"url": receiver.url("a.jpg")}}
                job = (await asyncio.to_thread(gateway.http.post, "/jobs", json=body)).json()["id"]
                await until(lambda: len(receiver.puts) == 1)
                assert (await asyncio.to_thread(gateway.job, job))["status"] == "IN_PROGRESS"
                await asyncio.to_thread(gateway.end, signal.SIGKILL)
                await asyncio.to_thread(gateway.start)
                ended = await asyncio.to_thread(gateway.ended, job)
            finally:
                await asyncio.to_thread(gateway.__exit__)
    assert ended["status"] == "COMPLETED"
    assert [(one["state"], one["attemptCount"]) for one in ended["deliveries"]] == [("DELIVERED", 1)]
    assert receiver.paths == ["/a.jpg", "/a.jpg"]
