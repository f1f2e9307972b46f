"""A client for Node (@grpc/grpc-js), which reads the protos when it starts."""

import pytest

from tests.interop.contract import ClientContract, Command
from tests.interop.toolchain import need, run, workplace

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def client() -> Command:
    need("node", "npm")
    folder = workplace("node")
    run("npm", "ci", "--prefer-offline", "--ignore-scripts", folder=folder)
    return ["node", folder / "client.js"]


class TestNode(ClientContract):
    pass
