"""The report of a run: Markdown for people, with a row for the table of cards in docs/guides/nvenc.md, and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from encoder.tasks.capabilities import VERSION
from tools.gpu_check.checks import CHECKS
from tools.gpu_check.decoding import DECODES, PLACES
from tools.gpu_check.finding import IMPOSSIBLE, Finding

COLUMNS = (
    "card",
    "driver",
    "formats",
    "sessions",
    "1080p30 to H.264",
    "decodes",
    "decoding pays",
    "200 tasks",
    "version",
)
NOTHING = "–"
LONGEST = 400


def markdown(findings: Mapping[str, Finding], *, is_short: bool) -> str:
    """Return the whole report."""
    today = datetime.now(UTC).date().isoformat()
    title = f"# Report of `make gpu-check`, api-gpu {VERSION}, {today}{' (short form)' if is_short else ''}"
    rows = [
        (name, finding.outcome, f"{CHECKS[name].question} {_cell(finding.text)}", f"{finding.seconds:.0f} s")
        for name, finding in findings.items()
    ]
    table = _table(("check", "outcome", "question and answer", "took"), rows)
    card = _table(COLUMNS, [card_row(findings)])
    figures = json.dumps({name: asdict(finding) for name, finding in findings.items()}, indent=1, ensure_ascii=False)
    return "\n".join(
        [
            title,
            "",
            table,
            "",
            "For the table of cards:",
            "",
            card,
            "",
            "All figures:",
            "",
            "```json",
            figures,
            "```",
            "",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    shown = " ".join(text.split()).replace("|", "/")
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def card_row(findings: Mapping[str, Finding]) -> tuple[str, ...]:
    """Return the row of the table of cards, with a dash where nothing was found out."""
    doctor, sandboxes = _figures(findings, "doctor"), _figures(findings, "sandboxes")
    cards = doctor.get("gpu", {}).get("cards", [])
    sessions = _figures(findings, "sessions")
    clip, memory = _figures(findings, "clip"), _figures(findings, "memory")
    decodes = [PLACES.get(name, name) for name, outcome in sandboxes.items() if outcome == DECODES and "," not in name]
    return (
        ", ".join(sorted({card["name"] for card in cards})) or NOTHING,
        doctor.get("gpu", {}).get("driver", "").split(" ")[0] or NOTHING,
        (", ".join(cards[0]["formats"]) or "none") if cards else NOTHING,
        f"{sessions['sessions']}{'' if sessions['is_limited'] else ' or more'}" if sessions else NOTHING,
        f"{clip['rate']} frames/s" if clip else NOTHING,
        ", ".join(decodes) or NOTHING,
        _worth(_figures(findings, "decoding")),
        f"{memory['grown_mib']:+} MiB" if memory else NOTHING,
        VERSION,
    )


def _figures(findings: Mapping[str, Finding], name: str) -> dict[str, Any]:
    """Return the figures of a check that was made; none of one that ended before it had any."""
    finding = findings.get(name)
    if finding is None or finding.outcome == IMPOSSIBLE or "messages" in finding.figures:
        return {}
    return finding.figures


def _worth(figures: Mapping[str, Any]) -> str:
    """Return for each clip the frames a second by the card as a share of those by the processor."""
    clips = figures.get("clips", {})
    timed = {name: one for name, one in clips.items() if one.get("by_card") and one["by_processor"]}
    said = [f"{name} {one['by_card'] / one['by_processor']:.2f}×" for name, one in timed.items()]
    return ", ".join(said) or NOTHING
