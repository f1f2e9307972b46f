"""`python -m tools.gpu_check [--short] [--limit SECONDS] [NAME …]`: check a card, print a report, and leave it in
out/gpu-check.md.

Exit code 1 when a check failed, or there is no card to check.
"""

import argparse
import sys
from pathlib import Path

from tools.gpu_check.checks import CHECKS
from tools.gpu_check.finding import FAILED, PASSED, Scale
from tools.gpu_check.report import markdown
from tools.gpu_check.runner import run_all, run_child

OUT = Path("out")
REPORT = "gpu-check.md"


def main(arguments: list[str]) -> int:
    """Run the checks that are named, or all; return the exit code."""
    parser = argparse.ArgumentParser("python -m tools.gpu_check", description=__doc__)
    parser.add_argument("--short", action="store_true", help="small clips and few tasks: to see that the checks run")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="for each check, in place of its own limit")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *CHECKS], help=f"of {', '.join(CHECKS)}")
    words = parser.parse_args(arguments)
    if words.child:
        name, folder = words.child
        run_child(name, Scale(Path(folder), words.short))
        return 0
    return _report(words.names or list(CHECKS), words.out, is_short=words.short, limit_seconds=words.limit)


def _report(names: list[str], folder: Path, *, is_short: bool, limit_seconds: float | None) -> int:
    findings = {}
    for name, finding in run_all(names, is_short=is_short, limit_seconds=limit_seconds):
        print(f"{name}: {finding.outcome} ({finding.seconds:.0f} s): {finding.text}", file=sys.stderr, flush=True)
        findings[name] = finding
    text = markdown(findings, is_short=is_short)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(text)
    print(text)
    print(f"This report is in {folder / REPORT}; how to send it: docs/guides/gpu-check.md", file=sys.stderr)
    outcomes = {finding.outcome for finding in findings.values()}
    return 0 if FAILED not in outcomes and PASSED in outcomes else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
