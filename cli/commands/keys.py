"""`berth key …`: API keys."""

import asyncio
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.commands.ending import say
from cli.commands.local import instant, settings
from cli.commands.options import All, AsJson, Limit, tell_of_more
from cli.commands.remote import remote_berth

app = typer.Typer(help="API keys. These need a key with the right admin.", no_args_is_help=True)


class Right(StrEnum):
    """What a key may do."""

    RESERVATIONS = "reservations"
    READ = "read"
    ADMIN = "admin"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    right: Annotated[
        list[Right] | None,
        typer.Option(help="What it may do; repeat it. Without it: reservations and read."),
    ] = None,
    site: Annotated[list[str] | None, typer.Option(help="Sees this site only; repeat it.")] = None,
    charger: Annotated[list[int] | None, typer.Option(help="Sees this charger id only; repeat it.")] = None,
    flipturn: Annotated[
        bool, typer.Option(help="Gets Flipturn's five statuses only, never Pending.")
    ] = False,
    expires: Annotated[str | None, typer.Option(help="As in 90d, or an ISO 8601 instant.")] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Write it into the database (BERTH_DATABASE_URL): for the first key there is."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown once.

    The first key of an installation: berth key create me --right admin --local
    """
    from cli.output import show_json

    until = None if expires is None else instant(expires, "--expires")
    rights = list(dict.fromkeys(right or [Right.RESERVATIONS, Right.READ]))
    if local:
        key = asyncio.run(_create_here(name, rights, site or None, charger or None, flipturn, until))
    else:
        body = {
            "name": name,
            "rights": rights,
            "siteIds": site or None,
            "chargerIds": charger or None,
            "flipturn": flipturn,
            "expiresAt": until and until.isoformat(),
        }
        with remote_berth() as client:
            key = client.create_key(body)
    if as_json:
        show_json(key)
    else:
        typer.echo(key["key"])
        say(f"key {key['id']}, shown this once: only its hash is kept")


@app.command("list")
def list_keys(limit: Limit = 500, without_limit: All = False, as_json: AsJson = False) -> None:
    """Show the API keys (not the keys themselves), revoked and expired ones too."""
    from cli.client import KEYS
    from cli.output import show_json, show_table

    with remote_berth() as client:
        found = client.found(KEYS, None if without_limit else limit)
    if as_json:
        show_json(found.items)
    else:
        show_table(
            ("id", "name", "rights", "sites", "chargers", "flipturn", "created", "last used", "ends"),
            (
                (
                    key["id"],
                    key["name"],
                    ", ".join(key["rights"]),
                    _scope(key["siteIds"]),
                    _scope(key["chargerIds"]),
                    "yes" if key["flipturn"] else None,
                    key["createdAt"],
                    key["lastUsedAt"],
                    f"revoked {key['revokedAt']}" if key["revokedAt"] else key["expiresAt"],
                )
                for key in found.items
            ),
            "No keys yet: `berth key create NAME`.",
        )
    tell_of_more(found.has_more, limit)


@app.command()
def revoke(key_id: Annotated[int, typer.Argument(metavar="KEY", help="Id, from `berth key list`.")]) -> None:
    """End an API key at once and for good."""
    with remote_berth() as client:
        client.revoke_key(key_id)
    typer.echo(f"Key {key_id} is revoked.")


async def _create_here(
    name: str,
    rights: list[Right],
    sites: list[str] | None,
    chargers: list[int] | None,
    flipturn: bool,
    until: datetime | None,
) -> dict[str, Any]:
    """The key in the API's shape. Raises SchemaError, UnreachableError."""
    from dataclasses import asdict

    from api.schemas.keys import NewKey
    from berth.database import Database

    async with await Database.open(settings().database_url) as database:
        raw_key, record = await database.keys.create(name, rights, sites, chargers, flipturn, until)
    values = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in asdict(record).items()
    }
    shown: dict[str, Any] = NewKey(**values, key=raw_key).model_dump(mode="json", by_alias=True)
    return shown


def _scope(ids: list[Any] | None) -> str:
    return "all" if ids is None else ", ".join(map(str, ids))
