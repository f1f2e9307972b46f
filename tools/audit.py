"""Hold the locks against the published advisories, with pip-audit: `make audit`.

Exit status: 0 where no package of a lock has a known vulnerability, 1 where one has. Where the advisories cannot be
reached, nothing is known: that is said by name, and with REQUIRE_AUDIT=1 it is a failure.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / ".build" / "audit" / "bin" / "pip-audit"
LOCKS = ("requirements.lock", "deploy/runpod.lock", "tests/emulators/vastai.lock", "tests/interop/interop.lock")
# Of one package in one lock, and of all.
TIMEOUT_SECONDS = 15
LOCK_SECONDS = 300
# Advisories that do not concern us: id → why.
ACCEPTED: Mapping[str, str] = {}


@dataclass
class Report:
    """What became of the packages of a lock: those judged, those with advisories (in words), and why others were not
    judged."""

    lock: str
    judged: int = 0
    found: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the report in words."""
        yield from (f"{self.lock}: VULNERABLE {text}" for text in self.found)
        if self.unknown:
            yield f"{self.lock}: NOT CHECKED, for {len(self.unknown)} reasons, the first: {self.unknown[0]}"
        if self.judged:
            yield f"{self.lock}: {self.judged} packages held against the advisories, {len(self.found)} vulnerable"


def read(lock: str, text: str, error: str) -> Report:
    """Return the report of pip-audit's output (JSON) and messages."""
    report = Report(lock)
    try:
        packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (error.strip().splitlines() or ["no output"])[-1]
        report.unknown.append(f"pip-audit reached no advisories ({last[:200]})")
        return report
    for package in packages:
        if reason := package.get("skip_reason"):
            report.unknown.append(f"{package['name']}: {reason}")
            continue
        report.judged += 1
        report.found += _advisories(package)
    return report


def _advisories(package: Mapping[str, Any]) -> Iterator[str]:
    for advisory in package["vulns"]:
        names = {advisory["id"], *advisory.get("aliases", ())}
        if not names & ACCEPTED.keys():
            fixed = ", ".join(advisory.get("fix_versions", ())) or "no version yet"
            yield f"{package['name']} {package['version']}: {', '.join(sorted(names))}; mended in {fixed}"


def audit(lock: str) -> Report:
    """Run pip-audit on a lock; it must be installed in PROGRAM."""
    command = [str(PROGRAM), "--requirement", lock, "--require-hashes", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", str(TIMEOUT_SECONDS)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LOCK_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return read(lock, "", str(error))
    return read(lock, done.stdout, done.stderr)


def exit_status(reports: list[Report], *, is_required: bool) -> int:
    """Return 1 for what is vulnerable, and for what is not known where it must be."""
    return int(any(report.found or (is_required and report.unknown) for report in reports))


def main() -> int:
    """Audit every lock; return the exit status."""
    reports = [audit(lock) for lock in LOCKS]
    for report in reports:
        print("\n".join(report.lines()))
    if any(report.unknown for report in reports):
        print("audit: some packages were NOT CHECKED, see above; REQUIRE_AUDIT=1 makes that a failure")
    return exit_status(reports, is_required=os.environ.get("REQUIRE_AUDIT") == "1")


if __name__ == "__main__":
    sys.exit(main())
