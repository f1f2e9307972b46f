"""ApiKeys and rates."""

import pytest

from gateway.auth import ApiKeys
from gateway.callers import NOBODY
from gateway.ratelimit import KeyRateLimit
from servicekit.errors import ResourceExhausted, Unauthenticated

METHOD = "/apigpu.v1.JobService/GetJob"


@pytest.mark.parametrize(
    "given",
    [
        {"x-api-key": "two"},
        {"x-api-key": " two \t"},
        {"x-api-key": "Bearer two"},
        {"x-api-key": " ", "authorization": "Bearer two"},
        {"authorization": "Bearer two"},
        {"authorization": "bearer two"},
        {"authorization": "BEARER \ttwo "},
        {"authorization": "two"},
    ],
)
def test_any_of_the_keys_opens(given):
    keys = ApiKeys(["one", "two"])
    assert keys.authenticate(METHOD, given) == keys.authenticate(METHOD, {"x-api-key": "two"})
    assert keys.authenticate(METHOD, given) != keys.authenticate(METHOD, {"x-api-key": "one"})


@pytest.mark.parametrize("given", [{}, {"x-api-key": ""}, {"x-api-key": "tw"}, {"authorization": "Basic two"}])
def test_no_key_and_a_wrong_one_are_refused(given):
    with pytest.raises(Unauthenticated):
        ApiKeys(["one", "two"]).authenticate(METHOD, given)


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Watch", "/apigpu.v1.SystemService/GetInfo"])
def test_probes_need_no_key(method):
    assert ApiKeys(["one"]).authenticate(method, {}) == NOBODY


def test_a_key_gets_its_rate_and_others_theirs():
    now = 0.0
    limit = KeyRateLimit(60, clock=lambda: now)
    for _ in range(6):
        limit.take("a")
    with pytest.raises(ResourceExhausted, match=r"try again in 1\.0 s"):
        limit.take("a")
    limit.take("b")
    now = 0.999
    with pytest.raises(ResourceExhausted, match=r"try again in 0\.1 s"):
        limit.take("a")
    now = 1.0
    limit.take("a")


def test_zero_is_no_limit():
    limit = KeyRateLimit(0)
    for _ in range(1000):
        limit.take("a")


def test_a_wrong_key_is_told_what_to_do():
    with pytest.raises(Unauthenticated, match="check it, or have the operator of this gateway make another"):
        ApiKeys(["one"]).authenticate(METHOD, {"x-api-key": "other"})
