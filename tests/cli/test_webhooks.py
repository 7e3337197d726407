"""`berth webhook …`."""

import json

from berth.database import OutboxEvent
from tests.cli.stack import Stack
from tests.launch.commands import berth_here


def test_a_webhook_is_made_listed_tried_and_removed(stack: Stack) -> None:
    made = berth_here(
        "webhook", "add", "https://93.184.216.34/berth", "--event", "reservation.used", "--site", "north"
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("whsec_")
    assert made.stderr == "berth: webhook 1; this is its secret, shown this once\n"
    (webhook,) = json.loads(berth_here("webhook", "list", "--json").stdout)
    assert (webhook["eventTypes"], webhook["siteId"]) == (["reservation.used"], "north")
    assert "reservation.used" in berth_here("webhook", "list").stdout
    assert "berth webhook deliveries 1" in berth_here("webhook", "test", "1").stdout
    assert "pending" in berth_here("webhook", "deliveries", "1").stdout
    assert berth_here("webhook", "remove", "1").returncode == 0
    assert "berth webhook add" in berth_here("webhook", "list").stdout
    again = berth_here("webhook", "remove", "1")
    assert (again.returncode, again.stderr) == (1, "berth: id: there is no webhook 1\n")


def test_what_was_given_up_is_found_and_sent_again(stack: Stack) -> None:
    added = berth_here("webhook", "add", "https://93.184.216.34/berth", "--json")
    assert json.loads(added.stdout)["secret"].startswith("whsec_")
    stack.do(lambda own: own.deliveries.enqueue([OutboxEvent("e-1", "reservation.used", 1, None, "{}")]))
    stack.do(lambda own: own.deliveries.give_up(1, 0, "no connection"))
    shown = berth_here("webhook", "deliveries", "1", "--state", "given_up").stdout
    assert "no connection" in shown
    replayed = json.loads(berth_here("webhook", "replay", "1", "1", "--json").stdout)
    assert (replayed["eventId"], replayed["state"]) == ("e-1", "pending")
    assert "is on its way again" in berth_here("webhook", "replay", "1", "1").stdout
    assert json.loads(berth_here("webhook", "deliveries", "1", "--json").stdout)[0]["state"] == "pending"


def test_a_refused_url_is_a_sentence(stack: Stack) -> None:
    refused = berth_here("webhook", "add", "https://localhost/")
    assert refused.returncode == 1
    assert "url: has a host in a private network" in refused.stderr
