"""A gateway with an operator, who sets limits of a tenant and of its keys."""

import contextlib
from dataclasses import dataclass

import httpx

from gateway.app import Gateway
from tests.support.tenants import key_of
from tests.support.until import until_async
from tests.support.whole_gateway import opened

ADMIN = "the key of the operator"


@dataclass
class Operated:
    """A gateway with an operator, and a file of the tenant "one"."""

    gateway: Gateway
    encoder: object
    http: httpx.AsyncClient
    one: str
    two: str
    name: str

    async def ask(self, method, path, key, **more):
        return await self.http.request(method, path, headers={"x-api-key": key} | more.pop("headers", {}), **more)

    async def say(self, **said):
        answer = await self.ask("PATCH", "/tenants/one", ADMIN, json=said)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def submit(self, key="", **said):
        body = {"img2vid": {"images": [{"id": "i", "image_url": self.name, "duracao": 1}]}}
        return await self.ask("POST", "/jobs", key or self.one, json=body | said)

    async def make_key(self, **said):
        """Make a key of the tenant "one" with limits; return its id and its text."""
        answer = await self.ask("POST", "/keys", ADMIN, json={"tenant": "one"} | said)
        assert answer.status_code == 200, answer.text
        return answer.json()["key"]["id"], answer.json()["text"]

    async def ended(self, job_id):
        async def look():
            job = (await self.ask("GET", f"/job/{job_id}", self.one)).json()
            return job if job["status"] == "COMPLETED" else None

        return await until_async(look)


@contextlib.asynccontextmanager
async def operated(tmp_path):
    async with (
        opened(tmp_path, admin_api_key=ADMIN, fetch_allow_cidrs="127.0.0.0/8") as served,
        httpx.AsyncClient(base_url=served.http_url, timeout=60) as http,
    ):
        one, two = [await key_of(served.gateway, tenant) for tenant in ("one", "two")]
        name = (await http.put("/assets/a.png", content=b"picture", headers={"x-api-key": one})).json()["name"]
        yield Operated(served.gateway, served.encoder, http, one, two, name)


def quota_of(answer):
    """The limit that a refusal names, after how long to try again, and the figures."""
    assert (answer.status_code, answer.json()["status"]) == (429, "RESOURCE_EXHAUSTED"), answer.text
    info, retry = answer.json()["details"]
    assert (info["reason"], retry["@type"].endswith("RetryInfo")) == ("QUOTA_EXCEEDED", True)
    assert answer.headers["retry-after"] == info["metadata"]["retry_after_seconds"]
    return info["metadata"]["quota"], int(answer.headers["retry-after"]), info["metadata"]["used"]
