"""Write the tables of docs/licences.md, and NOTICE, from the metadata of the installed packages and api_gpu/notices.py.

licences.py write      write them; the text around the tables is written by hand
"""

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from api_gpu.notices import HEEDED, MEANING, licence_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
NOTICE = ROOT / "NOTICE"
SDK = ROOT / ".build" / "sdks" / "runpod" / "lib"
BEGIN, END = "<!-- {}: written by `make licences` -->\n", "<!-- end -->"
DEVELOPMENT = "dev"
ELSEWHERE = "for other systems; see the package"


def shipped() -> set[str]:
    """Return the names of all packages that any installation of api-gpu brings, development's own apart."""
    found: set[str] = set()
    extras = metadata.metadata("api-gpu").get_all("Provides-Extra") or []
    left = [("api-gpu", extra) for extra in ["", *extras] if extra != DEVELOPMENT]
    seen = set(left)
    while left:
        package, extra = left.pop()
        for need in _needs(package, extra):
            name = canonicalize_name(need.name)
            found.add(name)
            new = {(name, wanted) for wanted in ("", *need.extras)} - seen
            seen |= new
            left.extend(new)
    return found - {"api-gpu"}


def locked(lock: Path) -> list[str]:
    """Return the names of the packages in a lock."""
    return re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE)


def _needs(package: str, extra: str) -> Iterator[Requirement]:
    try:
        lines = metadata.requires(package) or []
    except metadata.PackageNotFoundError:  # of another system, or in the worker's own lock
        return
    for need in map(Requirement, lines):
        if need.marker is None or need.marker.evaluate({"extra": extra}):
            yield need


def notice() -> str:
    """Return what goes into the wheel."""
    packages = "\n".join(f"- {name}: {heeded.what}: {heeded.licence}" for name, heeded in HEEDED.items())
    return f"""\
{MEANING}
`python -m api_gpu.notices` prints the licences of all packages that are installed, with their texts. These hold more
than they say of themselves, or bind:

{packages}
"""


def heeded_table() -> str:
    """Return what to heed as a table."""
    rows = [f"| {heeded.what} | {name} | {heeded.licence} |" for name, heeded in HEEDED.items()]
    return "\n".join(["| what | in which package | licence |", "|---|---|---|", *rows]) + "\n"


def _table(names: list[str], installed: dict[str, metadata.Distribution]) -> str:
    rows = [
        f"| {name} | {licence_of(installed[name].metadata) if name in installed else ELSEWHERE} |" for name in names
    ]
    return "\n".join(["| package | licence |", "|---|---|", *rows]) + "\n"


def _installed(*folders: str) -> dict[str, metadata.Distribution]:
    found = metadata.distributions(path=[*folders, *sys.path])
    return {canonicalize_name(each.metadata["Name"]): each for each in reversed(list(found))}


def write() -> None:
    """Write the tables and NOTICE. Raise SystemExit where the worker's SDK is not installed."""
    if not SDK.exists():
        raise SystemExit("the SDK of RunPod is not installed; run `make sdks`")
    kept = shipped()
    NOTICE.write_text(notice())
    tables = {
        "heeded": heeded_table(),
        "packages": _table([name for name in locked(ROOT / "requirements.lock") if name in kept], _installed()),
        "runpod": _table(
            locked(ROOT / "deploy" / "runpod.lock"), _installed(*map(str, SDK.glob("python*/site-packages")))
        ),
    }
    page = PAGE.read_text()
    for name, table in tables.items():
        head = BEGIN.format(name)
        before, _, rest = page.partition(head)
        page = before + head + table + END + rest.partition(END)[2]
    PAGE.write_text(page)


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    write()
