"""`python -m tools.install LOCK`: install the packages of a lock with pip, and tell how far that is.

Nothing but Python's own library is imported: it runs before anything is installed.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off")
PACKAGE = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?==", re.MULTILINE)
FOUND = re.compile(r"^Collecting ([\w.-]+)|^Requirement already satisfied: ([\w.-]+)")
SIZE = re.compile(r"\(([\d.]+ [kMG]B)\)")


def steps(lines: Iterable[str], total: int) -> Iterator[str]:
    """Yield how far an installation is, by the lines that pip prints: each package as it is fetched, then that all are
    being unpacked."""
    number, name = 0, ""
    for line in lines:
        if found := FOUND.match(line):
            number, name = number + 1, found[1] or found[2]
        if line.lstrip().startswith("Downloading ") and (size := SIZE.search(line)):
            yield f"package {number} of {total} at most: {name}, {size[1]}"
        if line.startswith("Installing collected packages"):
            yield f"unpacking {line.count(',') + 1} packages"


def main(lock: Path) -> None:
    """Install a lock. Exits with pip's code where it fails, behind what it said."""
    total = len(PACKAGE.findall(lock.read_text()))
    print(f"installing the {total} packages of {lock} into {sys.prefix}, about 1.3 GB there; a few minutes", flush=True)
    command = [*PIP, "--require-hashes", "-r", str(lock)]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None

        def heard() -> Iterator[str]:
            for line in pip.stdout or ():
                said.append(line)
                yield line

        shown = sys.stdout.isatty()
        for step in steps(heard(), total):
            print(f"\r\x1b[K  {step}" if shown else f"  {step}", end="" if shown else "\n", flush=True)
        if shown:
            print()
    if pip.returncode:
        sys.exit("".join(said[-20:]) + f"pip failed with code {pip.returncode}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
