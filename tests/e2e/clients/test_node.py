"""A client for Node (@grpc/grpc-js), which reads the protos when it starts."""

import subprocess

import pytest

from tests.interop.contract import ClientContract, Command
from tests.interop.toolchain import workplace
from tests.support.missing import need, without

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def client() -> Command:
    need("node", "npm")
    folder = workplace("node")
    # A machine may have Node and no way to its registry.
    done = subprocess.run(
        ["npm", "ci", "--prefer-offline", "--ignore-scripts"], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        without(f"npm cannot install the client's packages: {done.stderr[-300:]}")
    return ["node", folder / "client.js"]


class TestNode(ClientContract):
    pass
