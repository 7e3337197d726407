"""`berth charger add`, `list`, `show`, `set`, `remove`: the chargers that Berth knows."""

import math
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.commands.ending import WRONG_USE, end
from cli.commands.local import password as password_given
from cli.commands.local import settings
from cli.commands.options import All, AsJson, Charger, Limit, tell_of_more
from cli.commands.remote import charger_id, is_remote, remote_berth

if TYPE_CHECKING:
    from cli.client import ApiClient

app = typer.Typer(
    help="Chargers that Berth knows. Changing them needs a key with the right admin.", no_args_is_help=True
)

Kind = Literal["DCFC", "Level 2"]


class Clearable(StrEnum):
    """What can be taken away from a charger."""

    NAME = "name"
    SITE = "site"
    EXTERNAL_ID = "external-id"
    LATITUDE = "latitude"
    LONGITUDE = "longitude"
    TYPE = "type"
    PASSWORD = "password"  # noqa: S105  # the name of the value
    SECURITY_PROFILE = "security-profile"


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("must be a number")
    return value


Name = Annotated[str | None, typer.Option(help="What people call it.")]
Site = Annotated[str | None, typer.Option(help="Site id, for keys that see some sites only.")]
ExternalId = Annotated[str | None, typer.Option(help="Your own id of it.")]
Latitude = Annotated[float | None, typer.Option(help="Degrees north.", callback=_finite)]
Longitude = Annotated[float | None, typer.Option(help="Degrees east.", callback=_finite)]
Type = Annotated[Kind | None, typer.Option("--type", help="Its kind.")]
Profile = Annotated[
    int | None,
    typer.Option(
        "--security-profile",
        min=0,
        max=3,
        help="The least it may connect with: 0 nothing, 1 password, 2 TLS and password, "
        "3 TLS and client certificate.",
    ),
]
Ports = Annotated[
    list[str] | None,
    typer.Option("--port", metavar="NUMBER[:PLUG[:KW]]", help="A port, as 1:CCS1:150; repeat it."),
]

_FIELD = {"site": "siteId", "external-id": "externalId", "security-profile": "securityProfile"}


@app.command()
def add(
    identity: Annotated[str, typer.Argument(help="The last part of its socket URL.")],
    ports: Annotated[
        int, typer.Option(min=0, max=100, help="How many ports; more appear as it reports them.")
    ] = 1,
    port: Ports = None,
    name: Name = None,
    site: Site = None,
    external_id: ExternalId = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    kind: Type = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="BERTH_CHARGER_PASSWORD", help="HTTP Basic password of its socket; - asks for it."
        ),
    ] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Add a charger."""
    from cli.output import show_json

    secret = password_given(password)
    body = {
        "ocppId": identity,
        "name": name,
        "siteId": site,
        "externalId": external_id,
        "latitude": latitude,
        "longitude": longitude,
        "type": kind,
        "ports": _ports(port) if port else [{"portNumber": number} for number in range(1, ports + 1)],
        "password": secret,
        "securityProfile": profile,
    }
    with remote_berth() as client:
        charger = client.add_charger({name: value for name, value in body.items() if value is not None})
    if as_json:
        show_json(charger)
    else:
        _tell_of_new(charger, secret is not None)


@app.command("list")
def list_chargers(
    site: Annotated[str | None, typer.Option(help="Of this site only.")] = None,
    limit: Limit = 500,
    without_limit: All = False,
    as_json: AsJson = False,
) -> None:
    """Show the chargers, whether they are online, and whether they take reservations."""
    from cli.output import show_json, show_table

    with remote_berth() as client:
        chargers, has_more = _found(client, site, None if without_limit else limit)
    if as_json:
        show_json(chargers)
    else:
        show_table(
            (
                "id",
                "identity",
                "name",
                "site",
                "model",
                "socket",
                "reserves",
                "any port",
                "ports (id: status)",
            ),
            (
                (
                    charger["id"],
                    charger["ocppId"],
                    charger["name"] if charger["name"] != charger["ocppId"] else None,
                    charger["siteId"],
                    " ".join(filter(None, (charger["manufacturer"], charger["model"]))) or None,
                    _socket(charger),
                    _yes_or_no(charger["capabilities"]["reservations"]),
                    _yes_or_no(charger["capabilities"]["wholeCharger"]),
                    ", ".join(f"{port['id']}: {_status(port) or '–'}" for port in charger["ports"]),
                )
                for charger in chargers
            ),
            "No chargers yet: `berth charger add IDENTITY`.",
        )
    tell_of_more(has_more, limit)


@app.command()
def show(charger: Charger, as_json: AsJson = False) -> None:
    """Show one charger with its ports: what is plugged in, what is reserved."""
    from cli.output import show_json

    with remote_berth() as client:
        found = client.charger(charger_id(client, charger))
    if as_json:
        show_json(found)
    else:
        _show(found)


@app.command("set")
def change(
    charger: Charger,
    identity: Annotated[str | None, typer.Option(help="Another last part of its socket URL.")] = None,
    port: Ports = None,
    name: Name = None,
    site: Site = None,
    external_id: ExternalId = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    kind: Type = None,
    password: Annotated[
        str | None, typer.Option(help="HTTP Basic password of its socket; - asks for it.")
    ] = None,
    profile: Profile = None,
    clear: Annotated[
        list[Clearable] | None,
        typer.Option(
            metavar="VALUE",
            help="Take it away: name, site, external-id, latitude, longitude, type, password, "
            "security-profile; repeat it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change what is given here; the rest stays. Ports are added or described anew, none is removed."""
    from cli.output import show_json

    given: dict[str, Any] = {
        "ocppId": identity,
        "name": name,
        "siteId": site,
        "externalId": external_id,
        "latitude": latitude,
        "longitude": longitude,
        "type": kind,
        "ports": _ports(port) if port else None,
        "password": password_given(password),
        "securityProfile": profile,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    for value in clear or ():
        field = _FIELD.get(value, value.value)
        if field in changes:
            raise typer.BadParameter(f"{value} is also given a value", param_hint="--clear")
        changes[field] = None
    if not changes:
        raise typer.BadParameter("give at least one thing to change", param_hint="--name, --site, …")
    with remote_berth() as client:
        changed = client.change_charger(charger_id(client, charger), changes)
    if as_json:
        show_json(changed)
    else:
        _show(changed)


@app.command()
def remove(
    charger: Charger, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False
) -> None:
    """Forget a charger and its ports; not while it has live reservations."""
    with remote_berth() as client:
        found = client.charger(charger_id(client, charger))
        called = f"charger {found['id']} ({found['ocppId']})"
        if not yes:
            if not sys.stdin.isatty():
                end(f"--yes is needed to remove {called} without asking", WRONG_USE)
            typer.confirm(f"Remove {called} with {len(found['ports'])} port(s)?", abort=True)
        client.remove_charger(found["id"])
    typer.echo(f"Removed {called}.")


def _found(client: "ApiClient", site: str | None, limit: int | None) -> tuple[list[dict[str, Any]], bool]:
    from cli.client import CHARGERS

    if site is None:
        found = client.found(CHARGERS, limit)
        return found.items, found.has_more
    chargers = [charger for charger in client.found(CHARGERS).items if charger["siteId"] == site]
    return chargers[:limit], limit is not None and len(chargers) > limit


def _ports(texts: list[str]) -> list[dict[str, Any]]:
    return [_port(text) for text in texts]


def _port(text: str) -> dict[str, Any]:
    number, _, rest = text.partition(":")
    plug, _, power = rest.partition(":")
    try:
        port: dict[str, Any] = {"portNumber": int(number)}
        if plug:
            port["connectorType"] = plug
        if power:
            port["maximumPowerKw"] = _finite(float(power))
    except ValueError as error:
        raise typer.BadParameter("must be like 1, 1:CCS1 or 1:CCS1:150", param_hint="--port") from error
    return port


def _tell_of_new(charger: dict[str, Any], has_password: bool) -> None:
    from urllib.parse import quote

    ports = ", ".join(f"{port['id']} (number {port['portNumber']})" for port in charger["ports"])
    typer.echo(f"Charger {charger['id']} ({charger['ocppId']}) with ports {ports or 'none yet'}.")
    own = None if is_remote() else settings()
    if own is not None:
        where = f"{own.gateway_scheme}://{own.gateway_host}:{own.gateway_port}/ocpp/"
        typer.echo(f"Its socket: {where}{quote(charger['ocppId'], safe='')}")
    profile = charger["securityProfile"]
    if has_password:
        return
    if profile in (1, 2):
        typer.echo("It has no password, so the gateway refuses it until it has one.")
    elif profile is None and (own is None or not own.open_chargers):
        typer.echo("It has no password, so the gateway refuses it unless BERTH_OPEN_CHARGERS=true.")


def _show(charger: dict[str, Any]) -> None:
    from cli.output import show_fields, show_table

    capabilities = charger["capabilities"]
    show_fields(
        (
            ("id", charger["id"]),
            ("identity", charger["ocppId"]),
            ("name", charger["name"]),
            ("site", charger["siteId"]),
            ("external id", charger["externalId"]),
            ("manufacturer", charger["manufacturer"]),
            ("model", charger["model"]),
            ("serial number", charger["serialNumber"]),
            ("firmware", charger["firmwareVersion"]),
            ("latitude", charger["latitude"]),
            ("longitude", charger["longitude"]),
            ("type", charger["type"]),
            ("least security profile", charger["securityProfile"]),
            ("new password", charger["passwordChange"]),
            ("socket", _socket(charger)),
            ("since", (charger["connectionStatus"] or {}).get("timestamp")),
            ("takes reservations", _yes_or_no(capabilities["reservations"])),
            ("of any port", _yes_or_no(capabilities["wholeCharger"])),
            ("any port reserved", _reservation(charger["reservation"])),
        )
    )
    show_table(
        ("port id", "number", "name", "plug", "kW", "status", "charging since", "reserved"),
        (
            (
                port["id"],
                port["portNumber"],
                port["name"],
                port["connectorType"],
                port["maximumPowerKw"],
                _status(port),
                (port["currentChargingSession"] or {}).get("startTime"),
                _reservation(port["reservation"]),
            )
            for port in charger["ports"]
        ),
        "It has no ports yet.",
    )


def _socket(charger: dict[str, Any]) -> str:
    connection = charger["connectionStatus"]
    return "online" if connection is not None and connection["status"] == "Connected" else "offline"


def _status(port: dict[str, Any]) -> str | None:
    status: str | None = None if port["ocppStatus"] is None else port["ocppStatus"]["status"]
    return status


def _reservation(reservation: dict[str, Any] | None) -> str | None:
    if reservation is None:
        return None
    return f"{reservation['reservationId']} until {reservation['expiryDate']}"


def _yes_or_no(value: bool | None) -> str:
    return "unknown" if value is None else ("yes" if value else "no")
