"""Temporary folders of tools: gone with the block, and after a kill with the next tool."""

import subprocess
import sys

from tests.support.until import until_sync
from tools import scratch

HOLDING = """
import pathlib, sys, time
from tools import scratch
with scratch.folder("test", pathlib.Path(sys.argv[1])) as folder:
    (folder / "big").touch()
    time.sleep(600)
"""


def test_a_folder_goes_with_its_block(tmp_path):
    with scratch.folder("test", tmp_path) as folder:
        assert folder.name.startswith("api-gpu-test-")
        scratch.sweep(tmp_path)
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_tool_left_goes_with_the_next(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path)]) as killed:
        (left,) = until_sync(lambda: list(tmp_path.glob("api-gpu-*/big")))
        scratch.sweep(tmp_path)
        assert left.exists()
        killed.kill()
    with scratch.folder("test", tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
