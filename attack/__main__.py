"""`python -m attack [NAME …]`: print the table of all attacks, or of those named (ATTACKS)."""

import asyncio
import os
import sys
from types import ModuleType

from rich.console import Console
from rich.table import Table

from attack import (
    answers,
    file_names,
    held_calls,
    http_heads,
    idle_connections,
    json_bodies,
    media_files,
    origins,
    providers,
    queries,
    slow_readers,
    wrong_keys,
)
from attack.target import Row, running
from tools import scratch

ATTACKS: dict[str, ModuleType] = {
    "json_bodies": json_bodies,
    "http_heads": http_heads,
    "wrong_keys": wrong_keys,
    "file_names": file_names,
    "held_calls": held_calls,
    "idle_connections": idle_connections,
    "slow_readers": slow_readers,
    "origins": origins,
    "providers": providers,
    "answers": answers,
    "queries": queries,
    "media_files": media_files,
}
# Of the table where no terminal tells.
WIDTH = 200


async def attack(name: str, console: Console) -> list[Row]:
    """Run the attacks of one file against a pair of its own; print each row as it is measured."""
    found, module = [], ATTACKS[name]
    with scratch.folder(f"attack-{name}") as folder:
        own = folder / "own"
        own.mkdir()
        with running(folder / "pair", getattr(module, "ENVIRONMENT", {})) as target:
            found.append(await target.at_rest(f"{name}: at rest"))
            async for row in module.rows(target, own):
                console.print(": ".join(row.cells()), highlight=False)
                found.append(row)
    return found


def main(names: list[str]) -> int:
    """Attack and print; return the exit status, 1 where an aim was missed."""
    if unknown := set(names) - ATTACKS.keys():
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(ATTACKS)}")
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    found = [row for name in names or ATTACKS for row in asyncio.run(attack(name, console))]
    title = f"attacks on {os.cpu_count()} cores"
    table = Table("attack", "what it costs us", "health p99", "honest job p99", "aim", "", title=title)
    for row in found:
        table.add_row(*row.cells())
    console.print(table)
    return 0 if all(row.is_met for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
