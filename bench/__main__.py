"""`python -m bench [NAME …]`: print the table, or only the parts named (operations, latency, transfer)."""

import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import measures
from bench.pair import running


def main(names: list[str]) -> None:
    """Start a pair, measure, print."""
    table = Table("measured", "figure", "aim", title=f"api-gpu on {os.cpu_count()} cores")
    console = Console()
    with (
        running() as pair,
        pair.pair.client() as client,
        tempfile.TemporaryDirectory(prefix="api-gpu-bench-") as temporary,
    ):
        folder = Path(temporary)
        parts = {
            "latency": lambda: measures.latency(client, folder),
            "transfer": lambda: measures.transfer(pair, client, folder),
            "operations": lambda: measures.operations(client, folder),
        }
        if unknown := set(names) - parts.keys():
            sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(parts)}")
        table.add_row("from the command to serving, with an encoder", f"{pair.start_seconds:.2f} s", "< 3 s")
        for name, rows in parts.items():
            if not names or name in names:
                console.print(f"measuring {name} …")
                for row in rows():
                    table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
