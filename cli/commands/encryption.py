"""`berth payload-key` and `berth codec-server`: keeping what Temporal stores to ourselves."""

import asyncio
from typing import Annotated

import typer

from cli.commands.local import settings


def payload_key(
    retire: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Nobody needs this key any more: processes start without it."),
    ] = None,
) -> None:
    """Print a fresh key for BERTH_PAYLOAD_KEY, which encrypts what Temporal stores."""
    if retire is not None:
        _retire(retire)
        return
    from berth.payload_keys import fresh_key

    typer.echo(fresh_key().in_setting())


def codec_server() -> None:
    """Run the codec server: it decrypts payloads for Temporal's UI and command line."""
    from cli.processes import run_codec_server

    run_codec_server(settings())


def _retire(key_id: str) -> None:
    from berth.database import Database

    async def retire() -> bool:
        async with await Database.open(settings().database_url) as database:
            return await database.payload_keys.retire(key_id)

    if not asyncio.run(retire()):
        raise typer.BadParameter(f"no payload is encrypted with a key {key_id!r}", param_hint="--retire")
    typer.echo(f"The key {key_id} is retired; take it out of BERTH_PAYLOAD_KEY.")
