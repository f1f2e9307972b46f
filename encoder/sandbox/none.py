"""No sandbox: limits alone, where the system has prlimit. For machines that have neither bubblewrap nor Landlock."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from encoder.sandbox.base import Limits, SandboxAccess


@dataclass(frozen=True)
class NoSandbox:
    """Lets the child see what the encoder sees."""

    limits: Limits
    name: str = "none"

    def around(self, command: Sequence[str], reach: SandboxAccess) -> tuple[str, ...]:
        """See Sandbox."""
        prlimit = shutil.which("prlimit")
        return (prlimit, *self.limits.prlimit(), *command) if prlimit else tuple(command)
