"""The ways of docs/guides/generate-clients.md, step by step as they stand there, in a fresh clone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "guides" / "generate-clients.md").read_text()
BINARIES = Path(sys.executable).parent
# A plugin of Python's, in place of Go's, which are not everywhere.
TEMPLATE = "version: v2\nplugins:\n  - local: protoc-gen-mypy\n    out: client\n    opt: quiet\n"
# As `make protos` does, which would first install all packages for the clone.
EXPORT = "python protos/generate.py export"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


@pytest.fixture
def sh(clone, tmp_path):
    """Run a script in the clone, with protoc on the path."""
    protoc = tmp_path / "protoc"
    protoc.write_text(f'#!/bin/sh\nexec {sys.executable} -m grpc_tools.protoc "$@"\n')
    protoc.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{BINARIES}:{os.environ['PATH']}"}

    def run(script):
        done = subprocess.run(["sh", "-ec", script], cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"

    return run


def script(after):
    """The first shell block after a heading or a sentence."""
    return re.search(r"```sh\n(.*?)```", PAGE.partition(after)[2], re.DOTALL)[1]


def test_protoc_from_the_descriptor_set(clone, sh):
    sh(script("## From the descriptor set"))
    assert (clone / "client" / "apigpu" / "v1" / "video_pb2.py").is_file()


def test_buf_from_the_descriptor_set(clone, sh):
    (clone / "buf.gen.yaml").write_text(TEMPLATE)
    sh(script("and so does"))
    made = {path.name for path in (clone / "client").rglob("*.pyi")}
    assert "video_pb2.pyi" in made
    assert not (clone / "client" / "apigpu" / "encoder").exists()  # which is not for clients


def test_protoc_and_buf_from_the_files(sh):
    recipe = re.search(r"^protos:.*\n\t@?(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert recipe == f"$(BIN)/{EXPORT}"
    assert script("## From the proto files") == "make protos\n"
    sh(f"{EXPORT}\n" + script("It is a complete root"))
