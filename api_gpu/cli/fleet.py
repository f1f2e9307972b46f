"""The command that shows rented encoders and money."""

from typing import Annotated

import typer


def fleet(
    context: typer.Context,
    costs: Annotated[bool, typer.Option("--costs", help="What was spent, by day and provider.")] = False,
    days: Annotated[int, typer.Option(min=1, max=31, help="Days to tell of, with --costs.")] = 7,
    ended: Annotated[bool, typer.Option("--ended", help="Machines too that have been given back.")] = False,
) -> None:
    """Show rented encoders, and what they cost."""
    from api_gpu.cli.tables import show_costs, show_fleet

    with context.obj.client() as client:
        if costs:
            show_costs(client.fleet_costs(days))
        else:
            show_fleet(client.fleet(), ended)
