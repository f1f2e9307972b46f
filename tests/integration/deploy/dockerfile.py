"""Reads a Dockerfile as far as the tests need it."""

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """From one FROM to the next: instructions in their order, continued lines joined. `platform` is that of the machine
    that it runs on, where that is named."""

    base: str
    name: str
    platform: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        """What stands after each instruction of that name."""
        return [rest for word, rest in self.steps if word == instruction]

    def one(self, instruction: str) -> str:
        """What stands after the only instruction of that name."""
        (rest,) = self.all(instruction)
        return rest

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        pairs = [pair.partition("=") for rest in self.all("ENV") for pair in shlex.split(rest)]
        return {name: value for name, _, value in pairs}

    @property
    def command(self) -> list[str]:
        """CMD, which must be in the form of a list."""
        words: list[str] = json.loads(self.one("CMD"))
        return words

    @property
    def copied(self) -> list[tuple[list[str], str]]:
        """Sources and target of each COPY from the context."""
        words = [shlex.split(rest) for rest in self.all("COPY")]
        return [(found[:-1], found[-1]) for found in words if not found[0].startswith("--from")]

    @property
    def commands(self) -> list[list[str]]:
        """The commands of every RUN, split at `&&`."""
        return [shlex.split(part) for rest in self.all("RUN") for part in rest.split("&&")]


def stages(path: Path) -> list[Stage]:
    """The stages of a Dockerfile."""
    found: list[Stage] = []
    for line in _lines(path.read_text()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            option, _, base = base.rpartition(" ")
            found.append(Stage(base, name, option.removeprefix("--platform=")))
        else:
            found[-1].steps.append((word, rest.strip()))
    return found


def _lines(text: str) -> list[str]:
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(kept).replace("\\\n", " ").splitlines()
