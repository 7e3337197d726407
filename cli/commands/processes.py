"""`berth up`, `api`, `gateway`, `worker` and the rest that runs or looks after Berth's processes."""

import asyncio
from typing import Annotated

import typer

from cli.commands.local import process_settings, settings
from cli.commands.options import AsJson


def up() -> None:
    """Run everything here, in the foreground: Temporal, API, gateway, worker, simulated chargers."""
    from cli.up.supervisor import up

    up(settings())


def api() -> None:
    """Run the HTTP API."""
    from cli.processes import run_api

    run_api(process_settings())


def gateway(
    gateway_id: Annotated[str, typer.Option("--id", help="Its name; two live gateways need two.")] = "main",
) -> None:
    """Run a gateway: it holds the chargers' websockets."""
    from cli.processes import run_gateway

    run_gateway(process_settings(), gateway_id)


def worker() -> None:
    """Run a workflow worker."""
    from cli.processes import run_worker

    run_worker(process_settings())


def migrate() -> None:
    """Bring the database up to date, creating it if need be."""
    from berth.database import migrate

    migrate(settings().database_url)
    typer.echo("The database is up to date.")


def search_attributes() -> None:
    """Add Berth's search attributes to a Temporal namespace of your own; `berth up` does it by itself."""
    from berth.temporal.client import connect
    from berth.temporal.namespace import ensure_search_attributes

    async def ensure() -> list[str]:
        return await ensure_search_attributes(await connect(own.payload_key))

    own = process_settings()
    added = asyncio.run(ensure())
    typer.echo(f"Added: {', '.join(added)}." if added else "All were there already.")


def simulate(
    chargers: Annotated[int, typer.Option(min=1, help="How many.")] = 2,
    version: Annotated[str | None, typer.Option(help="1.6 or 2.0.1; without it they take turns.")] = None,
    personality: Annotated[
        str, typer.Option(help="How they behave: simulator/personalities/.")
    ] = "specification",
    ports: Annotated[int, typer.Option(min=1, help="Ports of each.")] = 2,
    prefix: Annotated[str, typer.Option(help="Their identities are PREFIX-1, PREFIX-2, …")] = "SIM",
    url: Annotated[
        str | None, typer.Option(help="The gateway's URL; default: the one of the settings.")
    ] = None,
    password: Annotated[str | None, typer.Option(envvar="BERTH_CHARGER_PASSWORD")] = None,
) -> None:
    """Run simulated chargers; `berth control` controls them."""
    from cli.processes import run_simulator

    if version not in (None, "1.6", "2.0.1"):
        raise typer.BadParameter("must be 1.6 or 2.0.1", param_hint="--version")
    own = settings()
    gateway_url = url or f"{own.gateway_scheme}://{own.gateway_host}:{own.gateway_port}/ocpp"
    run_simulator(own, gateway_url, chargers, version, personality, prefix, ports, password)


def control(
    identity: Annotated[str | None, typer.Argument(help="Which simulated charger.")] = None,
    action: Annotated[str | None, typer.Argument(help="plug_in, swipe, start, disconnect, reboot, …")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="As in id_tag=CARD-1 port=1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a simulated charger what to do; without an action: show it, without a charger: show all.

    Example: berth control SIM-16 start id_tag=CARD-1 port=1
    """
    from cli.simulator_control import control

    control(f"http://127.0.0.1:{settings().simulator_port}", identity, action, arguments or [], as_json)


def doctor(as_json: AsJson = False) -> None:
    """Look at everything Berth needs; say what is wrong and what to do. Exit code 1 when something is."""
    from cli.doctor import examine, show

    findings = asyncio.run(examine(process_settings()))
    raise typer.Exit(show(findings, as_json))
