"""`berth webhook …`: who receives events, and what became of each."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import typer

from cli.commands.ending import say
from cli.commands.options import All, AsJson, Limit, tell_of_more
from cli.commands.remote import remote_berth

app = typer.Typer(
    help="Webhooks: URLs that receive the events of reservations and chargers.", no_args_is_help=True
)


class Event(StrEnum):
    """The events a webhook can receive."""

    RESERVATION_ACTIVE = "reservation.active"
    RESERVATION_USED = "reservation.used"
    RESERVATION_EXPIRED = "reservation.expired"
    RESERVATION_CANCELLED = "reservation.cancelled"
    RESERVATION_REMOVED = "reservation.removed"
    RESERVATION_REJECTED = "reservation.rejected"
    RESERVATION_FAILED = "reservation.failed"
    RESERVATION_VIOLATED = "reservation.violated"
    CHARGER_CONNECTED = "charger.connected"
    CHARGER_DISCONNECTED = "charger.disconnected"


State = Literal["pending", "delivered", "given_up"]
WebhookId = Annotated[int, typer.Argument(metavar="WEBHOOK", min=1, help="Id, from `berth webhook list`.")]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where events go: https://…")],
    event: Annotated[
        list[Event] | None,
        typer.Option(help="Receives this event only; repeatable. Without it: every event."),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Receives the events of this site only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a webhook of your API key. Its secret is shown once.

    Receivers check with it that a call is Berth's: docs, "Webhooks".
    """
    from cli.output import show_json

    body = {"url": url, "eventTypes": event or None, "siteId": site}
    with remote_berth() as client:
        webhook = client.add_webhook(body)
    if as_json:
        show_json(webhook)
    else:
        typer.echo(webhook["secret"])
        say(f"webhook {webhook['id']}; this is its secret, shown this once")


@app.command("list")
def list_webhooks(limit: Limit = 500, without_limit: All = False, as_json: AsJson = False) -> None:
    """Show the webhooks (not their secrets)."""
    from cli.client import WEBHOOKS
    from cli.output import show_json, show_table

    with remote_berth() as client:
        found = client.found(WEBHOOKS, None if without_limit else limit)
    if as_json:
        show_json(found.items)
    else:
        rows = (
            (
                webhook["id"],
                webhook["url"],
                "all" if webhook["eventTypes"] is None else ", ".join(webhook["eventTypes"]),
                webhook["siteId"] or "all",
                webhook["apiKeyId"],
                webhook["createdAt"],
            )
            for webhook in found.items
        )
        columns = ("id", "url", "events", "site", "key", "created")
        show_table(columns, rows, "No webhooks yet: `berth webhook add URL`.")
    tell_of_more(found.has_more, limit)


@app.command()
def remove(webhook_id: WebhookId) -> None:
    """End a webhook at once, and forget its deliveries."""
    with remote_berth() as client:
        client.remove_webhook(webhook_id)
    typer.echo(f"Webhook {webhook_id} is removed.")


@app.command()
def deliveries(
    webhook_id: WebhookId,
    state: Annotated[State | None, typer.Option(help="In this state only.")] = None,
    limit: Limit = 50,
    without_limit: All = False,
    as_json: AsJson = False,
) -> None:
    """Show what a webhook received, newest first, and what waits or was given up."""
    from cli.client import WEBHOOKS
    from cli.output import show_json, show_table

    with remote_berth() as client:
        path = f"{WEBHOOKS}/{webhook_id}/deliveries"
        found = client.found(path, None if without_limit else limit, state=state)
    if as_json:
        show_json(found.items)
    else:
        show_table(
            ("id", "event", "created", "state", "attempts", "last attempt", "last error"),
            map(_row, found.items),
            "Nothing yet: `berth webhook test` sends a ping.",
        )
    tell_of_more(found.has_more, limit)


@app.command()
def replay(
    webhook_id: WebhookId,
    delivery_id: Annotated[
        int, typer.Argument(metavar="DELIVERY", min=1, help="Id, from `berth webhook deliveries`.")
    ],
    as_json: AsJson = False,
) -> None:
    """Send an event again, with the same event id; one that is pending: now."""
    from cli.output import show_json

    with remote_berth() as client:
        delivery = client.replay(webhook_id, delivery_id)
    if as_json:
        show_json(delivery)
    else:
        typer.echo(f"Event {delivery['eventId']} is on its way again.")


@app.command("test")
def send_ping(webhook_id: WebhookId, as_json: AsJson = False) -> None:
    """Send a ping, to see whether the receiver takes it."""
    from cli.output import show_json

    with remote_berth() as client:
        delivery = client.test_webhook(webhook_id)
    if as_json:
        show_json(delivery)
    else:
        typer.echo(f"A ping is on its way: `berth webhook deliveries {webhook_id}` shows what became of it.")


def _row(delivery: dict[str, Any]) -> tuple[object, ...]:
    return (
        delivery["id"],
        delivery["eventType"],
        delivery["createdAt"],
        delivery["state"],
        delivery["attempts"],
        delivery["lastAttemptAt"],
        delivery["lastError"],
    )
