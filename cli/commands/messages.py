"""`berth messages`: what Berth and the chargers said to each other."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.ending import say
from cli.commands.local import instant_past
from cli.commands.options import All, AsJson, Follow, Limit, OfCharger, tell_of_more
from cli.commands.remote import charger_id_unless_none, remote_berth

if TYPE_CHECKING:
    from cli.client import ApiClient


def messages(
    charger: OfCharger = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="ACTION", help="Of this OCPP action, as ReserveNow; repeat it."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From then on: 2h (ago) or an ISO 8601 instant; default: 24h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before then, given likewise; default: now.")] = None,
    limit: Limit = 50,
    without_limit: All = False,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Show what Berth and the chargers said to each other, newest first; at most 8 days at once.

    With --follow: the last ones, oldest first, then each as it comes, until Ctrl-C.
    """
    from cli.client import MESSAGES
    from cli.output import compact_json, show_json, show_table

    if follow and (until is not None or without_limit):
        raise typer.BadParameter("goes with neither --until nor --all", param_hint="--follow")
    start, end = instant_past(since, "--since"), instant_past(until, "--until")
    with remote_berth() as client:
        newer = {"chargerId": charger_id_unless_none(client, charger), "messageType[]": kind}
        filters = newer | {
            "startTimestamp": start and start.isoformat(),
            "endTimestamp": end and end.isoformat(),
        }
        if follow:
            _follow(client, limit, filters, newer, as_json)
            return
        found = client.found(MESSAGES, None if without_limit else limit, **filters)
    if as_json:
        show_json(found.items)
    else:
        show_table(
            ("at", "charger", "protocol", "action", "payload", "answer"),
            (
                (
                    message["createdAt"],
                    message["ocppChargerIdentity"],
                    message["protocol"],
                    message["messageType"],
                    compact_json(message["messagePayload"]),
                    _answer(message),
                )
                for message in found.items
            ),
            "No messages in this time.",
        )
    tell_of_more(found.has_more, limit)


def _follow(
    client: "ApiClient", first: int, filters: dict[str, Any], newer: dict[str, Any], as_json: bool
) -> None:
    from cli import following
    from cli.output import compact_json, show_json_line, show_line

    for new in following.messages(client, first, _given(filters), _given(newer), say):
        for message in new:
            if as_json:
                show_json_line(message)
                continue
            show_line(
                message["createdAt"],
                message["ocppChargerIdentity"],
                message["messageType"],
                compact_json(message["messagePayload"]),
                f"→ {_answer(message) or 'no answer'}",
            )


def _answer(message: dict[str, Any]) -> str | None:
    from cli.output import compact_json

    answer = message["messageResponse"]
    return None if answer is None else compact_json(answer)


def _given(filters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in filters.items() if value is not None}
