"""Two tenants, each with a key and files of its own, and what asks the gateways until one has an answer."""

import contextlib
import time

import httpx

from tests.chaos.services import ADMIN_KEY, KEY, Services

ANSWER_SECONDS = 120.0


def tenants(services: Services, chance) -> dict[str, str]:
    """The keys of the tenants by their names; that of the second is made."""
    made = asked(services, "POST", "/keys", chance, ADMIN_KEY, json={"tenant": "acme", "name": "chaos"})
    return {"default": KEY, "acme": made.json()["text"]}


def asked(services: Services, method, path, chance, api_key, key="", **more) -> httpx.Response:
    """The answer of a gateway, of either, as soon as one has an answer."""
    deadline = time.monotonic() + ANSWER_SECONDS
    headers = {"X-API-Key": api_key, **({"Idempotency-Key": key} if key else {})}
    while True:
        answer = None
        with contextlib.suppress(httpx.TransportError):
            answer = chance.choice(services.clients).request(method, path, headers=headers, **more)
        if answer is not None and answer.status_code < 500:
            assert answer.status_code < 300, answer.text
            return answer
        assert time.monotonic() < deadline, f"no gateway answers: {answer and answer.text}"
        time.sleep(0.1)
