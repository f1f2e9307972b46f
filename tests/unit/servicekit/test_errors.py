"""The tree of errors, and its way over the wire and back."""

import grpc
import pytest

from servicekit import errors


def subclasses(cls):
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in subclasses(sub))]


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code.name not in ("OK", "UNKNOWN", "OUT_OF_RANGE")]
)
def test_every_code_has_its_class(code):
    assert errors.CLASSES[code].code is code
    assert type(errors.from_code(code.value[0], "text")) is errors.CLASSES[code]


def test_an_unknown_number_is_a_fault_of_ours():
    assert isinstance(errors.from_code(99, "text"), errors.Internal)


def test_reason_and_fields_travel_as_google_rpc_details():
    error = errors.InvalidArgument("no", reason="BAD", fields={"url_video": "required"}, metadata={"job_id": "7"})
    status = error.to_status()
    assert (status.code, status.message) == (3, "no")
    kinds = [detail.type_url.rpartition("/")[2] for detail in status.details]
    assert kinds == ["google.rpc.ErrorInfo", "google.rpc.BadRequest"]


def test_the_error_of_a_field_names_it_in_its_text_and_in_its_details():
    error = errors.InvalidArgument.field("style.font", "is no family name", reason="BAD_INPUT")
    assert error.message == "style.font: is no family name"
    assert (error.reason, error.fields) == ("BAD_INPUT", {"style.font": "is no family name"})
