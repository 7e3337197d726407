"""`berth charger import` and `export`: many chargers at once, as a CSV file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.ending import INTERRUPTED, NO_ANSWER, REFUSED, end, say
from cli.commands.options import AsJson
from cli.commands.remote import remote_berth

if TYPE_CHECKING:
    from cli.charger_csv import FileCharger, Problem
    from cli.charger_import import Plan


def import_chargers(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A CSV file; - is standard input.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what would be added; add nothing.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave chargers alone that are there already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add the chargers of a CSV file: all of them, or none when anything is wrong with it.

    One line for each port. Columns, of which only ocppId is required: ocppId, name, siteId, externalId,
    latitude, longitude, type, password; portNumber, portName, connectorType, maximumPowerKw.
    """
    from cli.charger_csv import BadFile, read_chargers
    from cli.charger_import import Stopped, carry_out, plan

    try:
        chargers = read_chargers(file.read())
        with remote_berth() as client:
            planned = plan(client, chargers, skip_existing)
            if dry_run:
                _tell_of_plan(planned, as_json)
                return
            with _progress(len(planned.new)) as advance:
                added = carry_out(client, planned, advance)
    except BadFile as error:
        _refuse(error.problems, as_json)
    except Stopped as error:
        end(str(error), INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else NO_ANSWER)
    _tell_of_result(added, planned, as_json)


def export_chargers(
    site: Annotated[str | None, typer.Option(help="Of this site only.")] = None, as_json: AsJson = False
) -> None:
    """Write the chargers as CSV to standard output, as `berth charger import` takes them; without passwords.

    Example: berth charger export > chargers.csv
    """
    from cli.charger_csv import written
    from cli.client import CHARGERS
    from cli.output import show_json

    with remote_berth() as client:
        found = client.found(CHARGERS).items
    chargers = [charger for charger in found if site is None or charger["siteId"] == site]
    if as_json:
        show_json(chargers)
    else:
        typer.echo(written(chargers), nl=False)


def _refuse(problems: "Sequence[Problem]", as_json: bool) -> None:
    from cli.output import show_json

    if as_json:
        show_json({"added": [], "skipped": [], "problems": problems})
    else:
        for problem in problems:
            say(str(problem))
    end("nothing was imported", REFUSED)


def _tell_of_plan(planned: "Plan", as_json: bool) -> None:
    from cli.charger_csv import PASSWORD
    from cli.output import show_json, show_table

    if as_json:
        shown = [
            {name: value for name, value in charger.body.items() if name != PASSWORD}
            for charger in planned.new
        ]
        show_json({"toAdd": shown, "skipped": _identities(planned.there), "problems": []})
        return
    show_table(
        ("line", "identity", "name", "site", "ports", "password"),
        (
            (
                charger.line,
                charger.body["ocppId"],
                charger.body.get("name"),
                charger.body.get("siteId"),
                len(charger.body["ports"]),
                "yes" if PASSWORD in charger.body else None,
            )
            for charger in planned.new
        ),
        "There is nothing to add.",
    )
    typer.echo(f"{len(planned.new)} to add{_skipped(planned)}. Nothing was added: this was a dry run.")


def _tell_of_result(added: list[dict[str, Any]], planned: "Plan", as_json: bool) -> None:
    from cli.output import show_json

    if as_json:
        show_json({"added": added, "skipped": _identities(planned.there), "problems": []})
    else:
        ports = sum(len(charger["ports"]) for charger in added)
        typer.echo(f"{len(added)} charger(s) with {ports} port(s) added{_skipped(planned)}.")


def _skipped(planned: "Plan") -> str:
    return f", {len(planned.there)} there already" if planned.there else ""


def _identities(chargers: "Sequence[FileCharger]") -> list[str]:
    return [charger.body["ocppId"] for charger in chargers]


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[], None]]":
    """A bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Adding chargers", total=total)
        yield lambda: progress.advance(task)
