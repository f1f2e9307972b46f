"""Wrong keys: their address waits, longer each time, and nobody with a right key waits with it."""

import math

import pytest
import structlog

from gateway import auth
from gateway.auth import FREE_WRONG_KEYS, ApiKeys
from servicekit.addresses import client_network, parse_address
from servicekit.errors import ResourceExhausted, Unauthenticated

METHOD = "/apigpu.v1.JobService/GetJob"
ADDRESS = "192.0.2.7"


class Clock:
    seconds = 1_000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(clock):
    return ApiKeys(["right"], clock)


@pytest.fixture
def lines():
    """What is logged of wrong keys."""
    with structlog.testing.capture_logs() as found:
        yield found


def attempt(keys, key="wrong", address=ADDRESS):
    """What becomes of a call: None, or the error that it ends with."""
    try:
        keys.admit(METHOD, {"x-api-key": key} if key else {}, client_network(parse_address(address)))
    except (Unauthenticated, ResourceExhausted) as error:
        return error
    return None


def use_up(keys, address=ADDRESS):
    for _ in range(FREE_WRONG_KEYS + 1):
        assert attempt(keys, address=address).reason == "WRONG_KEY"


def test_the_first_wrong_keys_cost_nothing_and_then_the_pauses_double(keys, clock):
    use_up(keys)
    waits = []
    for _ in range(9):
        refused = attempt(keys)
        assert (type(refused), refused.reason) == (ResourceExhausted, "TOO_MANY_WRONG_KEYS")
        waits.append(math.ceil(refused.retry_seconds))
        clock.seconds += waits[-1]
        assert attempt(keys).reason == "WRONG_KEY"
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_right_key_passes_while_its_address_waits(keys):
    use_up(keys)
    assert attempt(keys).reason == "TOO_MANY_WRONG_KEYS"
    assert attempt(keys, "right") is None
    assert attempt(keys).reason == "TOO_MANY_WRONG_KEYS"


def test_calls_without_a_key_are_no_guesses(keys):
    for _ in range(3 * FREE_WRONG_KEYS):
        assert attempt(keys, "").reason == "NO_KEY"
    use_up(keys)
    assert attempt(keys, "").reason == "NO_KEY"


@pytest.mark.parametrize(
    ("other", "reason"),
    [("192.0.2.8", "WRONG_KEY"), ("2001:db8::1", "WRONG_KEY"), ("::ffff:192.0.2.7", "TOO_MANY_WRONG_KEYS")],
)
def test_other_addresses_do_not_wait(keys, other, reason):
    use_up(keys)
    assert attempt(keys, address=other).reason == reason


def test_addresses_of_one_network_of_ipv6_wait_together(keys):
    for number in range(FREE_WRONG_KEYS + 1):
        attempt(keys, address=f"2001:db8::{number:x}")
    assert attempt(keys, address="2001:db8::ffff").reason == "TOO_MANY_WRONG_KEYS"
    assert attempt(keys, address="2001:db8:0:1::1").reason == "WRONG_KEY"


def test_an_address_that_behaves_begins_anew(keys, clock):
    use_up(keys)
    clock.seconds += auth.FORGET_SECONDS + 2
    use_up(keys)


def test_the_oldest_addresses_are_forgotten(clock):
    keys = ApiKeys(["right"], clock, max_networks=100)
    use_up(keys)
    for number in range(99):
        attempt(keys, address=f"10.0.0.{number}")
    assert attempt(keys).reason == "TOO_MANY_WRONG_KEYS"
    attempt(keys, address="10.0.1.1")
    assert attempt(keys).reason == "WRONG_KEY"


def test_the_log_tells_of_those_that_were_judged(keys, lines):
    use_up(keys)
    for _ in range(1_000):
        attempt(keys)
    assert [line["wrong_keys"] for line in lines] == [*range(1, FREE_WRONG_KEYS + 2)]
    assert lines[-1] == {
        "event": "wrong API key",
        "network": ADDRESS,
        "method": METHOD,
        "wrong_keys": FREE_WRONG_KEYS + 1,
        "wait_seconds": 1.0,
        "log_level": "warning",
    }


def test_no_key_is_in_the_log(keys, lines):
    attempt(keys, "my-secret-with-a-typing-error")
    assert "secret" not in repr(lines)
