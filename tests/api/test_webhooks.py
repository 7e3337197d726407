"""/api/webhooks."""

from collections.abc import Sequence
from typing import Any, get_args

import httpx
import pytest
from temporalio.client import Client

from api.app import close, create_app
from api.routes.webhooks import MAX_OF_KEY
from api.schemas.webhooks import EventName
from berth.database import Database, OutboxEvent
from berth.settings import Settings
from cli.commands.webhooks import Event
from tests.api.conftest import Caller
from workflows.webhook_events import EventType

WEBHOOKS = "/api/webhooks"
NEW: dict[str, Any] = {"url": "https://93.184.216.34/berth"}


async def made(http: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    response = await http.post(WEBHOOKS, json=NEW | more)
    assert response.status_code == 201, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def announce(database: Database, *names: str, site_id: str | None = None) -> None:
    await database.deliveries.enqueue(
        [OutboxEvent(name, "reservation.used", 1, site_id, f'{{"id":"{name}"}}') for name in names]
    )


def test_the_document_and_the_command_name_every_event() -> None:
    assert list(get_args(EventName)) == [*map(str, Event)] == [*map(str, EventType)]


class TestMaking:
    """POST /api/webhooks."""

    async def test_the_secret_is_shown_this_once(self, http: httpx.AsyncClient) -> None:
        webhook = await made(http, eventTypes=["reservation.used", "reservation.active"], siteId="north")
        secret = webhook.pop("secret")
        assert secret.startswith("whsec_")
        assert (webhook["url"], webhook["siteId"]) == (NEW["url"], "north")
        assert webhook["eventTypes"] == ["reservation.active", "reservation.used"]
        shown = (await http.get(f"{WEBHOOKS}/{webhook['id']}")).json()["data"]
        assert shown == webhook
        assert secret not in (await http.get(WEBHOOKS)).text

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"url": None}, "url: must be a valid string"),
            ({"url": "http://93.184.216.34/"}, "url: must begin with https://"),
            ({"url": "app.example"}, "url: must be a URL like https://app.example/berth"),
            (
                {"url": "https://127.0.0.1/"},
                "url: has a host in a private network (BERTH_WEBHOOK_PRIVATE_TARGETS)",
            ),
            (
                {"url": "https://[::ffff:169.254.169.254]/"},
                "url: has a host in a private network (BERTH_WEBHOOK_PRIVATE_TARGETS)",
            ),
            ({"url": "https://nowhere.invalid/"}, "url: has a host that no name server knows"),
            ({"eventTypes": []}, "eventTypes: must have at least 1 item"),
        ],
    )
    async def test_a_field_that_breaks_a_rule_is_400_and_nothing_is_made(
        self,
        http: httpx.AsyncClient,
        database: Database,
        changes: dict[str, Any],
        sentence: str,
    ) -> None:
        response = await http.post(WEBHOOKS, json=NEW | changes)
        assert (response.status_code, response.json()) == (400, {"error": sentence})
        assert await database.webhooks.all() == []

    async def test_an_unknown_event_is_400_and_the_sentence_names_the_field(
        self, http: httpx.AsyncClient
    ) -> None:
        response = await http.post(WEBHOOKS, json=NEW | {"eventTypes": ["ping"]})
        assert response.status_code == 400
        assert response.json()["error"].startswith("eventTypes.0: must be 'reservation.active'")

    async def test_a_site_outside_the_keys_scope_is_403(self, caller: Caller, database: Database) -> None:
        raw_key, _ = await database.keys.create("north", ["read"], site_ids=["north"])
        response = await caller(raw_key).post(WEBHOOKS, json=NEW | {"siteId": "south"})
        assert (response.status_code, response.json()) == (
            403,
            {"error": "siteId: must be one of the sites of your API key"},
        )
        await made(caller(raw_key), siteId="north")

    async def test_a_key_has_so_many_and_no_more(self, http: httpx.AsyncClient) -> None:
        for _ in range(MAX_OF_KEY):
            await made(http)
        assert (await http.post(WEBHOOKS, json=NEW)).status_code == 409

    async def test_a_setting_allows_private_targets(
        self, temporal: Client, caller: Caller, database: Database
    ) -> None:
        raw_key, _ = await database.keys.create("app", ["read"])
        own = create_app(Settings(webhook_private_targets=True), temporal, database)
        body = {"url": "http://127.0.0.1:8000/berth"}
        assert (await caller(raw_key, own).post(WEBHOOKS, json=body)).status_code == 201
        await close(own)


async def test_a_key_manages_its_own_and_an_admin_those_in_its_scope(
    http: httpx.AsyncClient, caller: Caller, database: Database
) -> None:
    callers = {}
    for name, rights, sites in (
        ("north", ["reservations"], ["north"]),
        ("south", ["read"], ["south"]),
        ("chief of north", ["admin"], ["north"]),
    ):
        raw_key, _ = await database.keys.create(name, rights, site_ids=sites)
        callers[name] = caller(raw_key)
    north, south = await made(callers["north"]), await made(callers["south"])

    async def seen_by(one: httpx.AsyncClient) -> list[int]:
        return [webhook["id"] for webhook in (await one.get(WEBHOOKS)).json()["data"]]

    assert await seen_by(callers["north"]) == [north["id"]]
    assert await seen_by(callers["south"]) == [south["id"]]
    assert await seen_by(callers["chief of north"]) == [north["id"]]
    assert await seen_by(http) == [north["id"], south["id"]]
    for path in (f"/{south['id']}", f"/{south['id']}/deliveries"):
        assert (await callers["north"].get(WEBHOOKS + path)).status_code == 404
    for method, path in (("DELETE", ""), ("POST", "/test"), ("POST", "/deliveries/1/replay")):
        response = await callers["chief of north"].request(method, f"{WEBHOOKS}/{south['id']}{path}")
        assert response.json() == {"error": f"id: there is no webhook {south['id']}"}
    assert (await callers["chief of north"].delete(f"{WEBHOOKS}/{north['id']}")).status_code == 204
    assert await seen_by(callers["north"]) == []
    assert (await callers["north"].get(f"{WEBHOOKS}/{north['id']}")).status_code == 404


class TestDeliveries:
    """/api/webhooks/{id}/deliveries."""

    async def test_they_are_listed_by_page_and_by_state(
        self, http: httpx.AsyncClient, database: Database
    ) -> None:
        path = f"{WEBHOOKS}/{(await made(http))['id']}/deliveries"
        await announce(database, "e-1", "e-2", "e-3")
        (oldest, *_) = await database.deliveries.due()
        await database.deliveries.failed(oldest.id, 0, None, "no connection")
        await database.deliveries.give_up(oldest.id, 0)
        seen: Sequence[str] = ()
        cursor: str | None = None
        while cursor is not None or not seen:
            params = {"limit": 2} | ({} if cursor is None else {"nextPageCursor": cursor})
            page = (await http.get(path, params=params)).json()
            seen = [*seen, *(one["eventId"] for one in page["data"])]
            cursor = page["pagination"]["nextPageCursor"]
        assert seen == ["e-3", "e-2", "e-1"]
        (given_up,) = (await http.get(path, params={"state": "given_up"})).json()["data"]
        assert (given_up["state"], given_up["attempts"], given_up["lastError"]) == (
            "given_up",
            1,
            "no connection",
        )
        assert (given_up["body"], given_up["eventType"]) == ({"id": "e-1"}, "reservation.used")
        assert (await http.get(path, params={"state": "lost"})).status_code == 400

    async def test_one_that_ended_or_is_pending_is_replayed_with_the_same_id(
        self, http: httpx.AsyncClient, database: Database
    ) -> None:
        path = f"{WEBHOOKS}/{(await made(http))['id']}/deliveries"
        await announce(database, "e-1")
        (due,) = await database.deliveries.due()
        replay = f"{path}/{due.id}/replay"
        for its_round in (1, 2):
            response = await http.post(replay)
            assert response.status_code == 200
            data = response.json()["data"]
            assert (data["state"], data["eventId"]) == ("pending", "e-1")
            assert [one.round for one in await database.deliveries.due()] == [its_round]
            await database.deliveries.delivered(due.id, its_round, 200)
        response = await http.post(f"{path}/99/replay")
        assert (response.status_code, response.json()) == (
            404,
            {"error": f"deliveryId: webhook {path.split('/')[-2]} has no delivery 99"},
        )

    async def test_a_ping_is_sent_whatever_the_webhook_wants(
        self, http: httpx.AsyncClient, database: Database
    ) -> None:
        webhook = await made(http, eventTypes=["charger.connected"])
        response = await http.post(f"{WEBHOOKS}/{webhook['id']}/test")
        assert response.status_code == 201
        ping = response.json()["data"]
        assert (ping["eventType"], ping["state"], ping["body"]["type"]) == ("ping", "pending", "ping")
        assert ping["body"]["id"] == ping["eventId"]
        assert [one.id for one in await database.deliveries.due()] == [ping["id"]]
