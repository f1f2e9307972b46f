"""The ways of docs/guides/generate-clients.md, line by line as they stand there, in a fresh clone."""

import os
import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "guides" / "generate-clients.md").read_text()
BINARIES = Path(sys.executable).parent
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


def script(heading, number=0):
    """A shell block below a heading."""
    return re.findall(r"```sh\n(.*?)```", PAGE.partition(f"## {heading}\n")[2], re.DOTALL)[number]


def test_protoc_from_a_fresh_clone(clone, sh):
    sh(script("protoc"))
    assert (clone / "client" / "apigpu" / "v1" / "video_pb2.py").is_file()


def test_buf_from_a_fresh_clone(clone, sh):
    line = script("buf")
    assert line.count("\n") == 1
    sh(line.replace('"client"', '"by_buf"'))
    assert (clone / "by_buf" / "apigpu" / "v1" / "video_pb2.py").is_file()
    assert not (clone / "by_buf" / "apigpu" / "encoder").exists()  # which is not for clients


def test_buf_where_there_is_no_protoc(clone):
    """With the packages of Python alone: `protoc_builtin` is none of buf's own."""
    command = ["/bin/sh", "-ec", script("buf", 1).replace('"client"', '"by_packages"')]
    environment = {**os.environ, "PATH": str(BINARIES)}
    assert not (BINARIES / "protoc").exists()
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (clone / "by_packages" / "apigpu" / "v1" / "video_pb2.py").is_file()


def test_all_protos_are_built_without_a_line_of_setup(sh):
    sh("buf build --output all.binpb")


def test_what_is_exported_is_a_complete_root(sh):
    recipe = re.search(r"^protos:.*\n\t@?(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert recipe == f"$(BIN)/{EXPORT}"
    sh(f"{EXPORT}\nbuf build dist/protos")


@pytest.mark.parametrize("module", [annotations_pb2, http_pb2, error_details_pb2, status_pb2])
def test_googles_messages_are_those_of_googles_own_package(module, tmp_path):
    """Else who has both could not load the one beside the other."""
    name, target = module.DESCRIPTOR.name, tmp_path / "set.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", f"--descriptor_set_out={target}", name]
    subprocess.run(command, cwd=ROOT, check=True)
    ours = plain(FileDescriptorSet.FromString(target.read_bytes()).file[0])
    googles = plain(FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
    # Of error_details ours has those messages that are sent.
    kept = {message.name for message in ours.message_type}
    for message in [message for message in googles.message_type if message.name not in kept]:
        googles.message_type.remove(message)
    assert sorted(kept) == sorted(message.name for message in googles.message_type)
    ours.message_type.sort(key=attrgetter("name"))
    googles.message_type.sort(key=attrgetter("name"))
    assert ours == googles


def plain(file):
    """A file without what follows from the rest: the names in JSON."""
    left = [*file.message_type]
    for message in left:
        left += message.nested_type
        for field in message.field:
            field.ClearField("json_name")
    for field in file.extension:
        field.ClearField("json_name")
    return file
