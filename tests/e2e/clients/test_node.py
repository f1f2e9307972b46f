"""A client for Node (@grpc/grpc-js), which reads the protos when it starts."""

import pytest

from tests.interop.contract import ClientContract, Command
from tests.interop.toolchain import npm_ci, workplace

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def client() -> Command:
    folder = workplace("node")
    npm_ci(folder)
    return ["node", folder / "client.js"]


class TestNode(ClientContract):
    pass
