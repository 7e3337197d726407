"""`berth charger rotate-password`: a new password, from Berth to the charger and seen by nobody."""

import typer

from cli.commands.ending import DONE, exit_code_of
from cli.commands.options import AsJson, Charger, Wait
from cli.commands.remote import charger_id, remote_berth

_SAID = {
    "Accepted": "took a new password. The old one opens until it has connected with the new one.",
    "RebootRequired": "takes a new password with its next restart. The old one opens until then.",
    "Pending": "has not answered: it may have the new password or not, so both open.",
}


def rotate_password(charger: Charger, wait: Wait = None, as_json: AsJson = False) -> None:
    """Give a charger that is online a new password, which Berth makes up and shows nobody."""
    from cli.output import show_json

    with remote_berth() as client:
        outcome = client.change_password(charger_id(client, charger), wait)
    status = outcome["status"]
    if as_json:
        show_json(outcome)
    else:
        said = _SAID.get(status, f"keeps its password: {status}, {outcome.get('reason')}.")
        typer.echo(f"Charger {outcome['chargerId']} {said}")
    raise typer.Exit(DONE if status == "RebootRequired" else exit_code_of(status))
