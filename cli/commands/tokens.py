"""`berth token …`: drivers' tokens that Berth knows."""

from typing import Annotated, Literal

import typer

from cli.commands.options import All, AsJson, Limit, tell_of_more
from cli.commands.remote import remote_berth

app = typer.Typer(
    help="Drivers' tokens, for chargers that ask Berth about a card (Authorize).", no_args_is_help=True
)

Status = Literal["Accepted", "Blocked", "Expired", "Invalid"]
Tag = Annotated[str, typer.Argument(metavar="TOKEN", help="The driver's token; upper or lower case alike.")]


@app.command()
def add(
    tag: Tag,
    parent: Annotated[
        str | None, typer.Option(help="Its group: it may use a reservation with this --parent.")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="How Berth answers; Accepted without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List a token, or change one: group and status become what is given here."""
    from cli.output import show_fields, show_json

    body = {"idTag": tag, "parentIdTag": parent, "status": status}
    with remote_berth() as client:
        token = client.put_token({name: value for name, value in body.items() if value is not None})
    if as_json:
        show_json(token)
    else:
        show_fields(token.items())


@app.command("list")
def list_tokens(limit: Limit = 500, without_limit: All = False, as_json: AsJson = False) -> None:
    """Show the tokens."""
    from cli.client import TOKENS
    from cli.output import show_json, show_table

    with remote_berth() as client:
        found = client.found(TOKENS, None if without_limit else limit)
    if as_json:
        show_json(found.items)
    else:
        rows = ((token["idTag"], token["parentIdTag"], token["status"]) for token in found.items)
        show_table(("token", "group", "status"), rows, "No tokens yet: `berth token add TOKEN`.")
    tell_of_more(found.has_more, limit)


@app.command()
def remove(tag: Tag) -> None:
    """Forget a token; it is then answered as any unlisted one (BERTH_UNKNOWN_TOKENS)."""
    with remote_berth() as client:
        client.remove_token(tag)
    typer.echo("The token is not listed any more.")
