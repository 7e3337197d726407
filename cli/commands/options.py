"""Options and arguments that several commands have."""

from typing import Annotated

import typer

from cli.commands.ending import say

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on showing what comes; with --json as JSON lines.")
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
All = Annotated[bool, typer.Option("--all", help="Without a limit.")]
Charger = Annotated[str, typer.Argument(metavar="CHARGER", help="Charger id, or its OCPP identity.")]
OfCharger = Annotated[
    str | None, typer.Option("--charger", metavar="CHARGER", help="Of this charger (id or OCPP identity).")
]
ReservationId = Annotated[int, typer.Argument(metavar="RESERVATION", min=0, help="Reservation id.")]
Wait = Annotated[
    int | None, typer.Option(min=0, max=60, help="Seconds to wait for the charger; 0 = do not wait.")
]


def tell_of_more(has_more: bool, limit: int) -> None:
    """Say so when a limit has cut a list."""
    if has_more:
        say(f"there are more than {limit}: narrow it down, raise --limit, or ask for --all")
