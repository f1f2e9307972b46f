"""An operation is whole when it is in the proto, in the encoder, in the tests and in the docs."""

import pytest

from apigpu.v1 import options_pb2, video_pb2
from encoder.operations import OPERATIONS
from tests.support.paths import ROOT

KINDS = video_pb2.Operation.DESCRIPTOR.oneofs_by_name["kind"].fields
# What is made of others is the gateway's to take apart.
NAMES = [field.name for field in KINDS if not field.message_type.GetOptions().Extensions[options_pb2.rules].graph]


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_has_it(name: str) -> None:
    assert name in OPERATIONS


@pytest.mark.parametrize("name", NAMES)
def test_a_test_judges_it(name: str) -> None:
    assert (ROOT / "tests" / "integration" / "encoder" / "operations" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_page(name: str) -> None:
    assert (ROOT / "docs" / "operations" / f"{name}.md").is_file()


def test_the_encoder_has_no_other() -> None:
    assert set(OPERATIONS) == set(NAMES)
