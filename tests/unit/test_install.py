"""What `make setup` tells of an installation, by what pip prints."""

from tests.support.paths import ROOT
from tools.install import PACKAGE, steps

SAID = """\
Collecting numpy==2.1.0 (from -r requirements.lock (line 1))
  Downloading numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.whl (16.3 MB)
Collecting rich==14.0 (from -r requirements.lock (line 9))
  Using cached rich-14.0-py3-none-any.whl (243 kB)
Requirement already satisfied: typer==0.1 in ./.venv
Collecting av==15.0 (from -r requirements.lock (line 12))
  Downloading av-15.0.whl (40 MB)
Installing collected packages: numpy, rich, av
Successfully installed av-15.0 numpy-2.1.0 rich-14.0
"""


def test_each_download_is_told_with_its_size_and_number() -> None:
    assert list(steps(SAID.splitlines(), 9)) == [
        "package 1 of 9 at most: numpy, 16.3 MB",
        "package 4 of 9 at most: av, 40 MB",
        "unpacking 3 packages",
    ]


def test_the_packages_of_the_lock_are_counted() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert len(PACKAGE.findall(text)) == sum(line[:1].isalnum() for line in text.splitlines())
