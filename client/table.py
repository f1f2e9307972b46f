"""Rows for people on a terminal, and as lines with tabs elsewhere."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def show_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print them."""
    if not sys.stdout.isatty():
        for row in rows:
            print(*row, sep="\t")
        return
    table = Table(*headings, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table)
