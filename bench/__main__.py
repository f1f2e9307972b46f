"""`python -m bench [NAME …]`: print the table, or only the parts named (PARTS)."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from bench import (
    calls,
    captions,
    copies,
    encoders,
    films,
    fleet,
    frames,
    kenburns,
    kernels,
    latency,
    nvenc,
    previews,
    records,
    sandboxes,
    soundtracks,
    split,
    stories,
    submits,
    transfer,
    watchers,
)
from bench.pair import Measured, running
from bench.timing import Row
from tools import scratch

PARTS: dict[str, Callable[[Measured, Path], Iterator[Row]]] = {
    "latency": latency.rows,
    "calls": calls.rows,
    "transfer": transfer.rows,
    "captions": captions.rows,
    "kenburns": kenburns.rows,
    "kernels": kernels.rows,
    "soundtracks": soundtracks.rows,
    "stories": stories.rows,
    "previews": previews.rows,
    "films": films.rows,
    "copies": copies.rows,
    "frames": frames.rows,
    "encoders": encoders.rows,
    "split": split.rows,
    "sandboxes": sandboxes.rows,
    "nvenc": nvenc.rows,
    "fleet": fleet.rows,
    "watchers": watchers.rows,
    "submits": submits.rows,
    "records": records.rows,
}


def main(names: list[str]) -> None:
    """Start a pair, measure, print."""
    if unknown := set(names) - PARTS.keys():
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(PARTS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    table = Table("measured", "figure", "aim", title=f"api-gpu on {os.cpu_count()} cores")
    console = Console()
    with running() as pair:
        table.add_row("from the command to serving, with an encoder", f"{pair.start_seconds:.2f} s", "< 3 s")
        for name in names or PARTS:
            with scratch.folder(f"bench-{name}") as folder:
                for row in PARTS[name](pair, folder):
                    console.print(": ".join(row[:2]), highlight=False)
                    table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
