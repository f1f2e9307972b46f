"""Bubblewrap: the child in namespaces of its own. It sees no network, and no file but those of its reach."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from encoder.sandbox.base import Limits, SandboxAccess, libraries

PROGRAMS = ("bwrap", "prlimit")


@dataclass(frozen=True)
class Bubblewrap:
    """Shuts in by bwrap(1) of the package bubblewrap; limits by prlimit(1) of util-linux.

    Raises FileNotFoundError where one of the two is not installed.
    """

    limits: Limits
    name: str = "bubblewrap"

    def __post_init__(self) -> None:
        for program in PROGRAMS:
            if shutil.which(program) is None:
                raise FileNotFoundError(f"{program} is not installed")

    def around(self, command: Sequence[str], reach: SandboxAccess) -> tuple[str, ...]:
        """See Sandbox."""
        bwrap, prlimit = (str(shutil.which(program)) for program in PROGRAMS)
        options = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
        if paths := os.environ.get("LD_LIBRARY_PATH"):
            options += ["--setenv", "LD_LIBRARY_PATH", paths]
        options += ["--dev", "/dev"]
        for path in (*libraries(), *reach.readable):
            options += ["--ro-bind", str(path.resolve()), str(path)]
        for path in reach.writable:
            options += ["--bind", str(path), str(path)]
        for path in reach.devices:
            options += ["--dev-bind", str(path), str(path)]
        if reach.writable:
            options += ["--chdir", str(reach.writable[0])]
        options += ["--ro-bind", command[0], command[0], "--remount-ro", "/"]
        return (prlimit, *self.limits.prlimit(), bwrap, *options, "--", *command)
