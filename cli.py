"""`berth …`: every process of Berth, and its daily tasks from a terminal.

Everything but the command line itself is imported late: `berth --help` answers at once.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from directory import Directory
    from launch.api_client import ApiClient
    from settings import Settings

T = TypeVar("T")

app = typer.Typer(
    help="Reserves charging ports over OCPP 1.6 and 2.0.1, and keeps its word.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
charger_app = typer.Typer(help="Chargers that Berth knows.", no_args_is_help=True)
key_app = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(charger_app, name="charger", rich_help_panel="Directory")
app.add_typer(key_app, name="key", rich_help_panel="Directory")

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
PROCESSES, DIRECTORY, RESERVATIONS = "Processes", "Directory", "Reservations"


def main() -> None:
    """The command `berth`. What is not as it should be ends in one sentence and exit code 2."""
    try:
        app(prog_name="berth")
    except Exception as error:
        from launch.problem import EXIT_CODE, sentence_for

        sentence = sentence_for(error)
        if sentence is None:
            raise
        for line in sentence.splitlines():
            typer.echo(f"berth: {line}", err=True)
        sys.exit(EXIT_CODE)


# --- processes ------------------------------------------------------------------------------------


@app.command(rich_help_panel=PROCESSES)
def up() -> None:
    """Run everything here, in the foreground: Temporal, API, gateway, worker, simulated chargers."""
    from launch.supervisor import up

    up(_settings())


@app.command(rich_help_panel=PROCESSES)
def api() -> None:
    """Run the HTTP API."""
    from launch.processes import run_api

    run_api(_process_settings())


@app.command(rich_help_panel=PROCESSES)
def gateway(
    gateway_id: Annotated[str, typer.Option("--id", help="Its name; two live gateways need two.")] = "main",
) -> None:
    """Run a gateway: it holds the chargers' websockets."""
    from launch.processes import run_gateway

    run_gateway(_process_settings(), gateway_id)


@app.command(rich_help_panel=PROCESSES)
def worker() -> None:
    """Run a workflow worker."""
    from launch.processes import run_worker

    run_worker(_process_settings())


@app.command(rich_help_panel=PROCESSES)
def migrate() -> None:
    """Bring the database up to date, creating it if need be."""
    from directory import migrate

    settings = _settings()
    migrate(settings.database_url)
    typer.echo("The database is up to date.")


@app.command(rich_help_panel=PROCESSES)
def search_attributes() -> None:
    """Add Berth's search attributes to a Temporal namespace of your own; `berth up` does it by itself."""
    from launch.namespace import ensure_search_attributes
    from workflows.connection import connect

    async def ensure() -> list[str]:
        return await ensure_search_attributes(await connect())

    _process_settings()
    added = asyncio.run(ensure())
    typer.echo(f"Added: {', '.join(added)}." if added else "All were there already.")


@app.command(rich_help_panel=PROCESSES)
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
    """Run simulated chargers; `berth control` tells them what to do."""
    from launch.processes import run_simulator

    if version not in (None, "1.6", "2.0.1"):
        raise typer.BadParameter("must be 1.6 or 2.0.1", param_hint="--version")
    settings = _settings()
    gateway_url = url or f"ws://{settings.gateway_host}:{settings.gateway_port}/ocpp"
    run_simulator(settings, gateway_url, chargers, version, personality, prefix, ports, password)


@app.command(rich_help_panel=PROCESSES)
def control(
    identity: Annotated[str | None, typer.Argument(help="Which simulated charger.")] = None,
    action: Annotated[str | None, typer.Argument(help="plug_in, swipe, start, disconnect, reboot, …")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="As in id_tag=CARD-1 port=1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell a simulated charger what to do; without an action: show it, without a charger: show all.

    Example: berth control SIM-16 start id_tag=CARD-1 port=1
    """
    from launch.control import control

    control(f"http://127.0.0.1:{_settings().simulator_port}", identity, action, arguments or [], as_json)


@app.command(rich_help_panel=PROCESSES)
def doctor(as_json: AsJson = False) -> None:
    """Look at everything Berth needs; say what is wrong and what to do. Exit code 1 when something is."""
    from launch.doctor import examine, show

    findings = asyncio.run(examine(_process_settings()))
    raise typer.Exit(show(findings, as_json))


# --- directory ------------------------------------------------------------------------------------


@charger_app.command("add")
def charger_add(
    identity: Annotated[str, typer.Argument(help="The last part of its socket URL.")],
    ports: Annotated[int, typer.Option(min=0, help="How many ports; more appear as it reports them.")] = 1,
    name: Annotated[str | None, typer.Option()] = None,
    site: Annotated[str | None, typer.Option(help="Site id, for keys that see some sites only.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own id of it.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="BERTH_CHARGER_PASSWORD", help="HTTP Basic password of its socket.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a charger."""
    from directory import AlreadyExists, NewCharger, NewPort
    from launch.tables import show_json

    new = NewCharger(
        ocpp_identity=identity,
        name=name,
        site_id=site,
        external_id=external_id,
        ports=[NewPort(port_number) for port_number in range(1, ports + 1)],
        password=password,
    )
    try:
        charger = _with_directory(lambda directory: directory.chargers.add(new))
    except AlreadyExists as error:
        _refuse(f"{error.field}: another charger has this already")
    if as_json:
        show_json(charger)
        return
    settings = _settings()
    typer.echo(f"Charger {charger.id} ({charger.ocpp_identity}) with ports {_port_ids(charger)}.")
    typer.echo(
        f"Its socket: ws://{settings.gateway_host}:{settings.gateway_port}/ocpp/{charger.ocpp_identity}"
    )
    if not charger.has_password and not settings.open_chargers:
        typer.echo("It has no password, so the gateway refuses it unless BERTH_OPEN_CHARGERS=true.")


@charger_app.command("list")
def charger_list(
    site: Annotated[str | None, typer.Option(help="Of this site only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 500,
    as_json: AsJson = False,
) -> None:
    """Show the chargers, and whether they are online."""
    from launch.tables import show_json, show_table

    sites = None if site is None else {site}
    chargers = _with_directory(lambda directory: directory.chargers.all(site_ids=sites, limit=limit))
    if as_json:
        show_json(chargers)
        return
    show_table(
        ("id", "identity", "name", "model", "protocol", "socket", "ports (id: status)"),
        (
            (
                charger.id,
                charger.ocpp_identity,
                charger.name,
                " ".join(filter(None, (charger.manufacturer, charger.model))) or None,
                charger.protocol,
                "online" if charger.online else "offline",
                ", ".join(f"{port.id}: {port.status or '–'}" for port in charger.ports),
            )
            for charger in chargers
        ),
        "No chargers yet: `berth charger add IDENTITY`.",
    )


@key_app.command("create")
def key_create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    right: Annotated[list[str] | None, typer.Option(help="reservations, read, admin; repeat it.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Sees this site only; repeat it.")] = None,
    charger: Annotated[list[int] | None, typer.Option(help="Sees this charger id only; repeat it.")] = None,
    flipturn: Annotated[
        bool, typer.Option(help="Gets Flipturn's five statuses only, never Pending.")
    ] = False,
    expires: Annotated[str | None, typer.Option(help="As in 90d, or an ISO 8601 instant.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown once."""
    from launch.tables import show_json

    until = None if expires is None else _instant(expires, "--expires")
    rights = right or ["reservations", "read"]
    try:
        raw_key, key = _with_directory(
            lambda directory: directory.keys.create(name, rights, site, charger, flipturn, until)
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--right") from error
    if as_json:
        show_json({"key": raw_key, "record": key})
    else:
        typer.echo(raw_key)
        typer.echo(f"Key {key.id}, shown this once: only its hash is kept.", err=True)


@key_app.command("list")
def key_list(as_json: AsJson = False) -> None:
    """Show the API keys (not the keys themselves)."""
    from launch.tables import show_json, show_table

    keys = _with_directory(lambda directory: directory.keys.all())
    if as_json:
        show_json(keys)
        return
    show_table(
        ("id", "name", "rights", "sites", "chargers", "flipturn", "created", "expires", "revoked"),
        (
            (
                key.id,
                key.name,
                ", ".join(sorted(key.rights)),
                _scope(key.site_ids),
                _scope(key.charger_ids),
                "yes" if key.flipturn else None,
                key.created_at,
                key.expires_at,
                key.revoked_at,
            )
            for key in keys
        ),
        "No keys yet: `berth key create NAME`.",
    )


@key_app.command("revoke")
def key_revoke(key_id: Annotated[int, typer.Argument(help="From `berth key list`.")]) -> None:
    """End an API key at once."""
    if not _with_directory(lambda directory: directory.keys.revoke(key_id)):
        _refuse(f"there is no live key {key_id}")
    typer.echo(f"Key {key_id} is revoked.")


# --- reservations ---------------------------------------------------------------------------------


@app.command(rich_help_panel=RESERVATIONS)
def reserve(
    port: Annotated[int, typer.Argument(help="Port id, from `berth charger list`.")],
    tag: Annotated[str, typer.Option(help="The driver's token.")],
    until: Annotated[str, typer.Option(help="As in 15m or 1h30m, or an ISO 8601 instant.")] = "15m",
    number: Annotated[int | None, typer.Option(help="Reservation id; random without it.")] = None,
    parent: Annotated[str | None, typer.Option(help="The driver's group token.")] = None,
    tag_type: Annotated[str | None, typer.Option(help="OCPP 2.0.1 only: Central, ISO14443, …")] = None,
    wait: Annotated[int | None, typer.Option(min=0, max=60, help="Seconds to wait for the charger.")] = None,
    force: Annotated[bool, typer.Option(help="Even when another reservation holds the port.")] = False,
    as_json: AsJson = False,
) -> None:
    """Reserve a port."""
    import secrets

    from launch.tables import show_fields, show_json

    body = {
        "portId": port,
        "idTag": tag,
        "reservationId": secrets.randbelow(2**31) if number is None else number,
        "expiryDate": _instant(until, "--until").isoformat(),
        "parentIdTag": parent,
        "idTokenType": tag_type,
        "force": force or None,
    }
    body = {name: value for name, value in body.items() if value is not None}
    answer = _ask(lambda client: client.reserve(body, wait))["data"]
    if as_json:
        show_json(answer)
    else:
        show_fields(answer.items())


@app.command(rich_help_panel=RESERVATIONS)
def cancel(
    charger: Annotated[int, typer.Argument(help="Charger id.")],
    number: Annotated[int, typer.Argument(help="Reservation id.")],
    as_json: AsJson = False,
) -> None:
    """Cancel a reservation."""
    from launch.tables import show_fields, show_json

    answer = _ask(lambda client: client.cancel(charger, number))["data"]
    if as_json:
        show_json(answer)
    else:
        show_fields(answer.items())


@app.command("list", rich_help_panel=RESERVATIONS)
def list_reservations(
    charger: Annotated[int | None, typer.Option(help="Of this charger id.")] = None,
    port: Annotated[int | None, typer.Option(help="Of this port id.")] = None,
    state: Annotated[str | None, typer.Option(help="active, expired, cancelled, …")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show reservations, newest first."""
    from launch.tables import show_json, show_table

    page = _ask(lambda client: client.reservations(chargerId=charger, portId=port, state=state, limit=limit))
    if as_json:
        show_json(page["data"])
        return
    columns = ("chargerId", "reservationId", "portId", "state", "expiryDate")
    rows = ([item.get(column) for column in columns] for item in page["data"])
    show_table(columns, rows, "No reservations.")
    if page["pagination"]["hasNextPage"]:
        typer.echo(f"There are more than {limit}: narrow it down, or raise --limit.", err=True)


@app.command(rich_help_panel=RESERVATIONS)
def show(
    charger: Annotated[int, typer.Argument(help="Charger id.")],
    number: Annotated[int, typer.Argument(help="Reservation id.")],
    as_json: AsJson = False,
) -> None:
    """Show one reservation with its story."""
    from launch.tables import show_fields, show_json, show_table

    answer = _ask(lambda client: client.reservation(charger, number))["data"]
    if as_json:
        show_json(answer)
        return
    timeline = answer.pop("timeline", [])
    show_fields(answer.items())
    show_table(
        ("at", "event", "detail"),
        ((entry["at"], entry["event"], entry["detail"]) for entry in timeline),
        "Nothing has happened yet.",
    )


# --- helpers --------------------------------------------------------------------------------------


def _settings() -> "Settings":
    from settings import Settings

    return Settings()


def _process_settings() -> "Settings":
    """The same for what speaks to Temporal: without an address it is the server of `berth up`."""
    settings = _settings()
    if "temporal_port" in settings.model_fields_set:
        os.environ.setdefault("TEMPORAL_ADDRESS", f"127.0.0.1:{settings.temporal_port}")
    return settings


def _with_directory(work: "Callable[[Directory], Awaitable[T]]") -> T:
    from directory import Directory

    async def open_and_work() -> T:
        async with await Directory.open(_settings().database_url) as directory:
            return await work(directory)

    return asyncio.run(open_and_work())


def _ask(question: "Callable[[ApiClient], T]") -> T:
    from launch.api_client import ApiClient, Refused, key_for

    settings = _settings()
    url = os.environ.get("BERTH_URL") or f"http://127.0.0.1:{settings.api_port}"
    client = ApiClient(url, key_for(os.environ.get("BERTH_API_KEY"), settings.var))
    try:
        return question(client)
    except Refused as error:
        _refuse(str(error))


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"berth: {sentence}", err=True)
    raise typer.Exit(1)


def _instant(text: str, option: str) -> Any:
    from launch.instants import instant

    try:
        return instant(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _port_ids(charger: Any) -> str:
    return ", ".join(f"{port.id} (number {port.port_number})" for port in charger.ports) or "none yet"


def _scope(ids: Any) -> str:
    return "all" if ids is None else ", ".join(map(str, sorted(ids)))


if __name__ == "__main__":
    main()
