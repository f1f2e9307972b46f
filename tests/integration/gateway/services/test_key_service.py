"""Keys that the service makes: by the operator, shown once, known to every gateway, and ended."""

import contextlib
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from apigpu.v1 import jobs_pb2
from gateway.callers import ALL_SCOPES, Caller, Scope
from gateway.keys.record import KeyRecord
from gateway.keys.ring import KeyRing, NewKey
from servicekit.errors import PermissionDenied, Unauthenticated
from tests.support.tenants import call, channel_to, key_of
from tests.support.until import until
from tests.support.whole_gateway import opened

ADMIN = "the key of the operator"
LIST_JOBS = jobs_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name["ListJobs"]


@contextlib.asynccontextmanager
async def served(tmp_path):
    async with (
        opened(tmp_path, admin_api_key=ADMIN) as gateway,
        httpx.AsyncClient(base_url=gateway.http_url, headers={"x-api-key": ADMIN}, timeout=60) as http,
    ):
        yield gateway, http


async def reason_of(http, key, path="/jobs"):
    """The reason of the refusal; "" where the key opens."""
    answer = await http.get(path, headers={"x-api-key": key})
    return "" if answer.status_code == 200 else answer.json()["details"][0]["reason"]


async def test_a_key_is_made_shown_once_rotated_and_revoked(tmp_path):
    async with served(tmp_path) as (_, http):
        answer = await http.post("/keys", json={"tenant": "acme", "name": "n8n", "scopes": ["read", "submit"]})
        made, text = answer.json()["key"], answer.json()["text"]
        assert text.startswith(f"agk_{made['id']}_")
        assert (made["tenant"], made["scopes"]) == ("acme", ["submit", "read"])
        listed = (await http.get("/keys")).text
        assert made["id"] in listed
        assert text not in listed
        assert await reason_of(http, text) == ""
        rotated = (await http.post(f"/keys/{made['id']}/rotate", json={"graceSeconds": 60})).json()["text"]
        assert [await reason_of(http, key) for key in (text, rotated)] == ["", ""]
        # Asked twice, as the answer was lost: who has the text of before is not shut out.
        again = (await http.post(f"/keys/{made['id']}/rotate", json={"graceSeconds": 60})).json()["text"]
        assert [await reason_of(http, key) for key in (text, rotated, again)] == ["", "", ""]
        third = (await http.post(f"/keys/{made['id']}/rotate", json={})).json()["text"]
        assert [await reason_of(http, key) for key in (text, rotated, third)] == ["WRONG_KEY", "WRONG_KEY", ""]
        assert (await http.delete(f"/keys/{made['id']}")).json()["revokeTime"]
        assert await reason_of(http, third) == "KEY_REVOKED"
        assert (await http.post(f"/keys/{made['id']}/rotate")).json()["details"][0]["reason"] == "KEY_NOT_VALID"
        assert (await http.delete("/keys/aaaaaaaaaa")).json()["details"][0]["reason"] == "KEY_NOT_FOUND"
        stored = b"".join(path.read_bytes() for path in tmp_path.joinpath("nats").rglob("*") if path.is_file())
        assert made["id"].encode() in stored
        assert not any(key.rpartition("_")[2].encode() in stored for key in (text, rotated, third))


async def test_keys_are_listed_in_pages_and_not_for_ever(tmp_path):
    async with served(tmp_path) as (gateway, http):
        ring, now = gateway.gateway.components.ring, time.time()
        made = [await key_of(gateway.gateway, "acme") for _ in range(5)]
        ended = KeyRecord("aaaaaaaaaa", "", "acme", "", (), now - 40 * 86_400, revoked_at=now - 31 * 86_400)
        await ring.records.create(ended.id, ended)  # another gateway has deleted it
        pages, token = [], ""
        for _ in range(3):
            page = (await http.get("/keys", params={"tenant": "acme", "pageSize": 2, "pageToken": token})).json()
            pages.append([key["id"] for key in page["keys"]])
            token = page["nextPageToken"]
        assert pages == [[made[4][4:14], made[3][4:14]], [made[2][4:14], made[1][4:14]], [made[0][4:14]]]
        assert token == ""
        wrong = await http.get("/keys", params={"pageToken": "x"})
        assert wrong.json()["details"][0]["reason"] == "BAD_PAGE_TOKEN"
        assert (await http.get("/keys", params={"pageSize": 1001})).status_code == 400


async def test_only_admins_make_keys_and_only_good_ones(tmp_path):
    async with served(tmp_path) as (gateway, http):
        for key in ("key", await key_of(gateway.gateway, "acme")):
            assert await reason_of(http, key, "/keys") == "SCOPE_MISSING"
        assert await reason_of(http, await key_of(gateway.gateway, "acme", ALL_SCOPES), "/keys") == ""
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        for wrong, field in (
            ({"tenant": ""}, "tenant"),
            ({"tenant": "A b"}, "tenant"),
            ({"tenant": "a..b"}, "tenant"),
            ({"tenant": "a."}, "tenant"),
            ({"tenant": "a" * 64}, "tenant"),
            ({"scopes": ["write"]}, "scopes"),
            ({"name": "a\nb"}, "name"),
            ({"expireTime": past}, "expire_time"),
            ({"certificateNames": [""]}, "certificate_names"),
        ):
            answer = (await http.post("/keys", json={"tenant": "acme"} | wrong)).json()
            assert (answer["status"], field in answer["message"]) == ("INVALID_ARGUMENT", True)


async def test_a_key_of_a_certificate_opens_with_it_alone(tmp_path):
    async with served(tmp_path) as (gateway, http), channel_to(gateway.gateway, tmp_path / "certs") as channel:
        right = await key_of(gateway.gateway, "acme", certificate_names=("somebody", "api-gpu client"))
        wrong = await key_of(gateway.gateway, "acme", certificate_names=("somebody",))
        codes = [(await call(channel, LIST_JOBS, key, jobs_pb2.ListJobsRequest())).code.name for key in (right, wrong)]
        assert codes == ["OK", "PERMISSION_DENIED"]
        assert await reason_of(http, right) == "CERTIFICATE_NAME"  # HTTP asks for no certificate


async def test_every_gateway_knows_of_a_change_and_needs_no_store_to_judge(jetstream):
    rings = [await KeyRing.open(await jetstream.key_value("keys"), b"pepper") for _ in range(2)]
    made, text = await rings[0].create(NewKey("acme", "", (Scope.READ,)))
    caller = await until(lambda: rings[1].find(text, frozenset))
    assert (caller.tenant, caller.key_id, caller.scopes) == ("acme", made.id, {Scope.READ})
    await rings[0].revoke(made.id)

    def is_revoked():
        try:
            return rings[1].find(text, frozenset) is None
        except Unauthenticated as error:
            return error.reason == "KEY_REVOKED"

    await until(is_revoked)
    other = await KeyRing.open(await jetstream.key_value("keys"), b"another pepper")
    assert other.find(text, frozenset) is None
    _, ending = await rings[0].create(NewKey("acme", "", (Scope.READ,), time.time() + 0.2))
    for ring in (*rings, other):
        await ring.records.stop()
    await jetstream.close()

    def has_expired():
        try:
            rings[0].find(ending, frozenset)
        except Unauthenticated as error:
            return error.reason == "KEY_EXPIRED"

    await until(has_expired)
    with pytest.raises(PermissionDenied, match="ListJobs needs a key with the scope read"):
        Caller("acme", "k", frozenset({Scope.ASSETS})).check("/apigpu.v1.JobService/ListJobs")
