"""All faults of a request in one answer that clients can read."""

import pytest

from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound
from servicekit.faults import Faults


def raised(faults: Faults) -> InvalidArgument | FailedPrecondition:
    with pytest.raises((InvalidArgument, FailedPrecondition)) as caught:
        faults.check()
    return caught.value


def test_no_fault_is_none() -> None:
    Faults().check()


def test_the_only_fault_stays_what_it_is() -> None:
    faults, fault = Faults(), FailedPrecondition("x is no video", reason="BAD_INPUT", fields={"x": "is no video"})
    faults.add(fault)
    assert raised(faults) is fault


def test_faults_are_told_with_all_their_fields_and_each_text_once() -> None:
    faults = Faults()
    for name in ("a", "b"):
        faults.add(
            InvalidArgument("Each must have a name", reason="MISSING_FIELD", fields={f"{name}.name": "required"})
        )
    faults.add(InvalidArgument.field("c", "is too long."))
    error = raised(faults)
    assert error.message == "Each must have a name; c: is too long."
    assert error.fields == {"a.name": "required", "b.name": "required", "c": "is too long."}
    assert error.reason == "MISSING_FIELD"


def test_an_answer_stays_small_enough_for_headers() -> None:
    faults = Faults()
    for number in range(10_000):
        faults.add(InvalidArgument.field(f"scenes[{number}].image_url", "is no picture; give another one." * 9))
    assert faults.is_full
    error = raised(faults)
    assert 3 < len(error.fields) < 20
    assert error.message.endswith("And more.")
    assert error.to_status().ByteSize() < 5_000


def test_what_is_no_fault_of_the_caller_goes_on() -> None:
    faults = Faults()
    with pytest.raises(NotFound), faults.gathering():
        raise NotFound("gone")
    with pytest.raises(InvalidArgument), faults.gathering(but=("AGAIN",)):
        raise InvalidArgument("again", reason="AGAIN")
    with faults.gathering():
        raise InvalidArgument("wrong")
    assert raised(faults).message == "wrong"
