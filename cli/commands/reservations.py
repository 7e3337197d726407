"""`berth reserve`, `cancel`, `list`, `show`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.commands.ending import NO_ANSWER, PENDING, end, exit_code_for, exit_code_of, say
from cli.commands.local import instant
from cli.commands.options import (
    All,
    AsJson,
    Charger,
    Follow,
    Limit,
    OfCharger,
    ReservationId,
    Wait,
    tell_of_more,
)
from cli.commands.remote import charger_id, charger_id_unless_none, remote_berth

if TYPE_CHECKING:
    from cli.client import ApiClient

State = Literal[
    "requested",
    "sending",
    "active",
    "unknown",
    "used",
    "expired",
    "cancelled",
    "removed",
    "rejected",
    "failed",
]
TagType = Literal["Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress"]
Policy = Literal["retry", "reject"]

_COLUMNS = ("chargerId", "reservationId", "portId", "state", "expiryDate", "createdAt", "endedAt")


def reserve(
    tag: Annotated[str, typer.Option(help="The driver's token.")],
    port: Annotated[
        int | None, typer.Argument(metavar="PORT", min=1, help="Port id, from `berth charger list`.")
    ] = None,
    charger: Annotated[
        str | None,
        typer.Option(
            metavar="CHARGER", help="Instead of a port id: any port of this charger (id or OCPP identity)."
        ),
    ] = None,
    port_number: Annotated[
        int | None, typer.Option(min=1, help="With --charger: this port of it, by the charger's own number.")
    ] = None,
    until: Annotated[str, typer.Option(help="As in 15m or 1h30m, or an ISO 8601 instant.")] = "15m",
    reservation_id: Annotated[
        int | None,
        typer.Option("--id", min=0, help="Reservation id, your own number; without it a random one."),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(help="The driver's group token; its members may have to be listed (`berth token add`)."),
    ] = None,
    tag_type: Annotated[
        TagType | None,
        typer.Option(
            metavar="KIND",
            help="OCPP 2.0.1: Central (the default) for a remote start; a card at the reader needs ISO14443. "
            "Also ISO15693, eMAID, KeyCode, Local, MacAddress.",
        ),
    ] = None,
    wait: Wait = None,
    offline_policy: Annotated[
        Policy | None, typer.Option(help="While the charger is offline: keep trying, or give up at once.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Even when another reservation holds the port.")] = False,
    as_json: AsJson = False,
) -> None:
    """Reserve a port, or with --charger any port of a charger.

    Examples: berth reserve 7 --tag CARD-1 --until 30m;
    berth reserve --charger SIM-16 --port-number 1 --tag CARD-1
    """
    import secrets

    from cli.client import NoAnswer, Refused

    if (port is None) == (charger is None):
        raise typer.BadParameter("give a port id or --charger, one of them", param_hint="PORT")
    if port_number is not None and charger is None:
        raise typer.BadParameter("goes with --charger only", param_hint="--port-number")
    number = secrets.randbelow(2**31) if reservation_id is None else reservation_id
    body = {
        "portId": port,
        "idTag": tag,
        "reservationId": number,
        "expiryDate": instant(until, "--until").isoformat(),
        "parentIdTag": parent,
        "idTokenType": tag_type,
        "offlinePolicy": offline_policy,
        "force": force or None,
    }
    with remote_berth() as client:
        if charger is not None and port_number is not None:
            body["portId"] = _port_id(client, charger, port_number)
        else:
            body["chargerId"] = charger_id_unless_none(client, charger)
        try:
            answer = client.reserve({name: value for name, value in body.items() if value is not None}, wait)
        except (NoAnswer, Refused) as error:
            code = NO_ANSWER if isinstance(error, NoAnswer) else exit_code_for(error.status)
            if code != NO_ANSWER:
                raise
            # It may stand all the same, under a number that people have not seen yet.
            end(f"{error} (repeat it safely with --id {number})", code)
    _show_outcome(answer, as_json)


def cancel(charger: Charger, reservation: ReservationId, wait: Wait = None, as_json: AsJson = False) -> None:
    """Cancel a reservation."""
    with remote_berth() as client:
        answer = client.cancel(charger_id(client, charger), reservation, wait)
    _show_outcome(answer, as_json)


def list_reservations(
    charger: OfCharger = None,
    port: Annotated[int | None, typer.Option(min=1, help="Of this port id.")] = None,
    state: Annotated[State | None, typer.Option(help="In this state.")] = None,
    limit: Limit = 50,
    without_limit: All = False,
    as_json: AsJson = False,
) -> None:
    """Show reservations: those that live first, newest first."""
    from cli.client import RESERVATIONS
    from cli.output import show_json, show_table

    with remote_berth() as client:
        of_charger = charger_id_unless_none(client, charger)
        found = client.found(
            RESERVATIONS, None if without_limit else limit, chargerId=of_charger, portId=port, state=state
        )
    if as_json:
        show_json(found.items)
    else:
        show_table(
            _COLUMNS, ([item.get(name) for name in _COLUMNS] for item in found.items), "No reservations."
        )
    tell_of_more(found.has_more, limit)


def show(
    charger: Charger, reservation: ReservationId, follow: Follow = False, as_json: AsJson = False
) -> None:
    """Show one reservation with its timeline; with --follow line by line as it happens, until it ends."""
    from cli.output import show_fields, show_json, show_table

    with remote_berth() as client:
        number = charger_id(client, charger)
        if follow:
            _follow(client, number, reservation, as_json)
            return
        answer = client.reservation(number, reservation)
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


def _port_id(client: "ApiClient", charger: str, port_number: int) -> int:
    found = client.charger(charger_id(client, charger))
    ids: list[int] = [port["id"] for port in found["ports"] if port["portNumber"] == port_number]
    if not ids:
        end(f"charger {found['id']} ({found['ocppId']}) has no port number {port_number}")
    return ids[0]


def _follow(client: "ApiClient", charger: int, reservation: int, as_json: bool) -> None:
    from cli import following
    from cli.output import show_fields, show_json_line, show_line

    seen: dict[str, Any] = {}
    for seen, new in following.reservation(client, charger, reservation, say):
        for entry in new:
            if as_json:
                of = {name: seen[name] for name in ("chargerId", "reservationId", "state")}
                show_json_line(of | entry)
            else:
                show_line(entry["at"], entry["event"], entry["detail"])
    if not as_json:
        show_fields((name, seen.get(name)) for name in ("state", "reason", "evidence", "endedAt"))


def _show_outcome(answer: dict[str, Any], as_json: bool) -> None:
    from cli.output import show_fields, show_json

    if as_json:
        show_json(answer)
    else:
        show_fields(answer.items())
    code = exit_code_of(str(answer.get("status")))
    if code == PENDING and not as_json:
        say(f"not known yet: `berth show {answer['chargerId']} {answer['reservationId']} --follow`")
    raise typer.Exit(code)
