"""The systems that are supported, and what of the locks each of them needs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT


@dataclass(frozen=True)
class System:
    """A system as markers of requirements know it, and the tags of the wheels that it takes."""

    markers: Mapping[str, str]
    tags: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.markers['sys_platform']}-{self.markers['platform_machine']}"

    def applies(self, need: Requirement, extra: str = "") -> bool:
        """True where a requirement is one on this system."""
        return need.marker is None or need.marker.evaluate({**self.markers, "extra": extra})


def _linux(machine: str) -> System:
    # pip takes no older tag for one that it is given: glibc 2.28, and all before.
    tags = [f"manylinux_2_{number}_{machine}" for number in range(28, 4, -1)]
    tags += [f"manylinux{year}_{machine}" for year in (2014, 2010, 1)]
    return System({"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}, tuple(tags))


LINUX_X86, LINUX_ARM = _linux("x86_64"), _linux("aarch64")
MACOS = System(
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"}, ("macosx_14_0_arm64",)
)
# The client and the command line alone.
WINDOWS = System(
    {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64", "os_name": "nt"},
    ("win_amd64",),
)
SERVERS = (LINUX_X86, LINUX_ARM, MACOS)


def entries(lock: str) -> Iterator[tuple[Requirement, list[str]]]:
    """The entries of a lock: a requirement, and the hashes of its files."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        requirement, *hashes = line.split(" --hash=")
        yield Requirement(requirement), [found.strip() for found in hashes]


def required(name: str, extras: set[str], system: System = LINUX_X86) -> set[str]:
    """Names of all packages that the package needs, those that it needs by others too."""
    left = [(canonicalize_name(name), frozenset(extras))]
    seen = set(left)
    while left:
        package, wanted = left.pop()
        for need in map(Requirement, _requirements(package)):
            key = (canonicalize_name(need.name), frozenset(need.extras))
            if key not in seen and any(system.applies(need, extra) for extra in (*wanted, "")):
                seen.add(key)
                left.append(key)
    return {package for package, _ in seen} - {canonicalize_name(name)}


def _requirements(package: str) -> list[str]:
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:  # of another system
        return []
