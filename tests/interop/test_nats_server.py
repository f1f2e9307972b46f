"""The check of nats-server: a binary of which a single byte is another is no build of the release."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.missing import need
from tools.nats_server import Differs, check, locked

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]

INSTALLED = Path(sys.executable).with_name("nats-server")


@pytest.fixture
def version():
    need("go")
    return "v" + locked().partition("==")[2].split()[0]


def test_the_binary_is_the_release(version, tmp_path):
    assert f"linux/amd64 {version} is h1:" in check(INSTALLED, version, tmp_path)


def test_a_binary_that_was_changed_differs(version, tmp_path):
    data = bytearray(INSTALLED.read_bytes())
    place = data.index(b"JetStream not enabled")
    data[place : place + 1] = b"j"
    changed = shutil.copyfile(INSTALLED, tmp_path / "changed")
    changed.write_bytes(data)
    (tmp_path / "work").mkdir()
    with pytest.raises(Differs, match="its SHA-256 is"):
        check(changed, version, tmp_path / "work")


def test_a_binary_of_another_release_differs(version, tmp_path):
    with pytest.raises(
        Differs, match=rf"it says that it is github.com/nats-io/nats-server/v2 {version}, not .* v2\.1\.0"
    ):
        check(INSTALLED, "v2.1.0", tmp_path)
