"""kill -9 of a gateway that has something to tell: the next one tells it, with the same id."""

import signal

import httpx

from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.lone_gateway import LoneGateway
from tests.support.until import until_sync


def test_what_a_killed_gateway_did_not_tell_the_next_one_tells(tmp_path):
    settings = {"FETCH_ALLOW_CIDRS": "127.0.0.0/8", "WEBHOOK_SECRET": SECRET}
    with HookReceiver(503, -1) as receiver, LoneGateway(tmp_path, **settings) as gateway:
        source = gateway.http.put("/assets/a.mp4", content=b"a video").json()["name"]
        body = {"thumbnail": {"url_video": source}, "webhook_url": receiver.url, "metadata": {"n": "1"}}
        job = gateway.http.post("/jobs", json=body).json()["id"]
        assert gateway.http.post(f"/job/{job}/cancel").status_code == 200
        until_sync(lambda: len(receiver.calls) == 1)
        until_sync(lambda: deliveries(gateway, job)[0]["attemptCount"] == 1)
        gateway.end(signal.SIGKILL)
        gateway.start()
        until_sync(lambda: len(receiver.calls) >= 2, 60)  # it hangs: nobody answers when the gateway is killed
        gateway.end(signal.SIGKILL)
        gateway.start()
        until_sync(lambda: len(receiver.calls) >= 3, 60)
        until_sync(lambda: deliveries(gateway, job)[0]["state"] == "DELIVERED")
        assert deliveries(gateway, job)[0]["attempts"][0]["httpStatus"] == 503
    assert len(set(receiver.ids)) == 1
    assert {body["data"]["status"] for body in receiver.bodies} == {"CANCELLED"}
    assert receiver.all_signed()


def deliveries(gateway, job):
    try:
        return gateway.http.get(f"/job/{job}/webhooks").json()["deliveries"]
    except httpx.TransportError:
        return [{"state": "", "attemptCount": 0}]
