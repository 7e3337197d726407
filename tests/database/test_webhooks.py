"""Webhooks and their deliveries: who is told of what, once for each event."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from berth.database import Database, Delivery, Heartbeat, NewCharger, OutboxEvent, Presence
from berth.database.connections import Connections
from berth.database.deliveries import enter_deliveries, insert_of
from berth.database.tables import gateways, webhook_deliveries
from tests.database.time_passes import age
from webhooks.charger_presence import ChargerPresence
from webhooks.outbox import WebhookOutbox

CAME, WENT = "charger.connected", "charger.disconnected"
EVENT = OutboxEvent("e-1", "reservation.active", 1, "north", '{"id":"e-1"}')


async def make(database: Database, *, key: dict[str, Any] | None = None, **webhook: Any) -> tuple[int, int]:
    """A key and its webhook: their ids."""
    _, owner = await database.keys.create("app", ["read"], **(key or {}))
    made = await database.webhooks.add(owner.id, "https://app.example/", "whsec_1", **webhook)
    return owner.id, made.id


async def told(database: Database, webhook_id: int) -> list[Delivery]:
    return await database.deliveries.of_webhook(webhook_id, state=None, limit=100)


def heard_by(presences: list[Presence]) -> Callable[[Presence], OutboxEvent]:
    """Keeps what is enqueued."""

    def outbox_event(presence: Presence) -> OutboxEvent:
        presences.append(presence)
        return EVENT

    return outbox_event


async def heartbeat(database: Database, incarnation: str) -> Heartbeat:
    heard = await database.links.heartbeat(incarnation)
    assert heard is not None
    return heard


@pytest.mark.parametrize(
    ("key", "webhook", "hears"),
    [
        ({}, {}, True),
        ({}, {"event_types": ["reservation.active"]}, True),
        ({}, {"event_types": ["charger.connected"]}, False),
        ({}, {"site_id": "north"}, True),
        ({}, {"site_id": "south"}, False),
        ({"site_ids": ["north", "south"]}, {}, True),
        ({"site_ids": ["south"]}, {}, False),
        ({"charger_ids": [1]}, {}, True),
        ({"charger_ids": [2]}, {}, False),
        ({"site_ids": ["north"], "charger_ids": [2]}, {}, False),
    ],
)
async def test_a_webhook_hears_what_its_key_sees_and_it_wants(
    database: Database, key: dict[str, Any], webhook: dict[str, Any], hears: bool
) -> None:
    _, webhook_id = await make(database, key=key, **webhook)
    assert await database.deliveries.enqueue([EVENT]) == hears
    assert [one.event_id for one in await told(database, webhook_id)] == ["e-1"] * hears


async def test_a_charger_without_a_site_is_of_no_site(database: Database) -> None:
    await make(database, key={"site_ids": ["north"]})
    _, everything = await make(database)
    nowhere = OutboxEvent("e-2", "charger.connected", 1, None, "{}")
    assert await database.deliveries.enqueue([nowhere]) == 1
    assert len(await told(database, everything)) == 1


async def test_an_event_is_entered_once_however_often_and_by_whomever_it_is_announced(
    database: Database, other: Database
) -> None:
    _, first = await make(database)
    _, second = await make(database)
    counts = await asyncio.gather(*(one.deliveries.enqueue([EVENT]) for one in (database, other) * 5))
    assert sum(counts) == 2
    assert [len(await told(database, webhook)) for webhook in (first, second)] == [1, 1]


async def test_many_events_are_entered_in_a_few_statements(
    database: Database, connections: Connections
) -> None:
    await make(database)
    await make(database)
    insert = insert_of(connections)
    statements: list[str] = []

    def enter(connection: sa.Connection) -> list[int]:
        def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        sa.event.listen(connection, "before_cursor_execute", note)
        events = [OutboxEvent(f"e-{n}", "charger.connected", n, None, "{}") for n in range(500)]
        return [enter_deliveries(connection, insert, some) for some in (events[:400], events, events, [])]

    assert await connections.transaction(enter) == [800, 200, 0, 0]
    assert (await database.deliveries.backlog()).count == 1000
    assert len(statements) < 15


async def test_a_revoked_or_expired_key_hears_nothing(database: Database) -> None:
    key_id, webhook_id = await make(database)
    await database.deliveries.enqueue([EVENT])
    (delivery,) = await told(database, webhook_id)
    target = await database.deliveries.target(delivery.id)
    assert target is not None
    assert target.key_is_good
    await database.keys.revoke(key_id)
    await make(database, key={"expires_at": datetime.now(UTC) - timedelta(hours=1)})
    target = await database.deliveries.target(delivery.id)
    assert target is not None
    assert not target.key_is_good
    assert await database.deliveries.enqueue([OutboxEvent("e-2", "ping", 1, None, "{}")]) == 0


async def test_what_is_due_is_taken_for_a_minute_started_once_and_again_only_when_its_workflow_is_lost(
    database: Database, connections: Connections
) -> None:
    await make(database)
    await database.deliveries.enqueue([EVENT])
    due = await database.deliveries.due()
    assert [(one.round, one.event_type) for one in due] == [(0, "reservation.active")]
    assert await database.deliveries.due() == []
    await age(connections, webhook_deliveries.c.start_at, timedelta(seconds=50))
    assert await database.deliveries.due() == []
    await age(connections, webhook_deliveries.c.start_at, timedelta(seconds=11))
    assert await database.deliveries.due() == due, "who had taken it has died"
    await database.deliveries.started(due)
    await age(connections, webhook_deliveries.c.start_at, timedelta(seconds=61))
    assert await database.deliveries.due() == []
    assert (await database.deliveries.backlog()).count == 1
    await age(connections, webhook_deliveries.c.start_at, timedelta(hours=26))
    assert await database.deliveries.due() == due


async def test_two_who_look_at_once_take_each_delivery_once_the_longest_waiting_first(
    database: Database, other: Database, connections: Connections
) -> None:
    _, webhook_id = await make(database)
    events = [OutboxEvent(f"e-{n}", "ping", 1, None, "{}") for n in range(40)]
    await database.deliveries.enqueue(events[:20])
    await age(connections, webhook_deliveries.c.start_at, timedelta(seconds=5))
    await database.deliveries.enqueue(events[20:])
    entered = [one.id for one in reversed(await told(database, webhook_id))]
    assert [one.id for one in await database.deliveries.due(10)] == entered[:10]
    taken = await asyncio.gather(*(one.deliveries.due(5) for one in (database, other) * 4))
    while rest := await database.deliveries.due(5):
        taken.append(rest)
    assert all(len(some) <= 5 for some in taken)
    assert sorted(one.id for some in taken for one in some) == entered[10:]


async def test_attempts_are_counted_for_each(database: Database) -> None:
    await make(database)
    await database.deliveries.enqueue([EVENT, OutboxEvent("e-2", "ping", 1, None, "{}")])
    first, second = (one.id for one in await database.deliveries.due())
    await database.deliveries.failed(first, 0, 500, "HTTP 500")
    assert await database.deliveries.attempts([first, second, second + 1]) == {first: 1, second: 0}


async def test_a_delivery_ends_once_and_a_replay_is_a_new_round_of_it(database: Database) -> None:
    _, webhook_id = await make(database)
    await database.deliveries.enqueue([EVENT])
    (first,) = due = await database.deliveries.due()
    await database.deliveries.failed(first.id, 0, None, "no connection")
    await database.deliveries.failed(first.id, 0, 500, "HTTP 500")
    assert await database.deliveries.give_up(first.id, 0)
    assert not await database.deliveries.give_up(first.id, 0)
    (given_up,) = await told(database, webhook_id)
    assert (given_up.state, given_up.attempts, given_up.last_status) == ("given_up", 2, 500)
    assert given_up.last_error == "HTTP 500"
    assert given_up.ended_at is not None
    assert (await database.deliveries.backlog()).count == 0

    replayed = await database.deliveries.replay(webhook_id, first.id)
    assert replayed is not None
    assert (replayed.state, replayed.event_id, replayed.ended_at) == ("pending", "e-1", None)
    await database.deliveries.started(due)  # whoever was late with the round before
    assert [(one.id, one.round) for one in await database.deliveries.due()] == [(first.id, 1)]
    await database.deliveries.delivered(first.id, 0, 200)  # likewise
    assert (await told(database, webhook_id))[0].state == "pending"
    await database.deliveries.delivered(first.id, 1, 204)
    (delivered,) = await told(database, webhook_id)
    assert (delivered.state, delivered.attempts, delivered.last_error) == ("delivered", 3, None)


async def test_a_pending_delivery_that_is_replayed_is_due_at_once(database: Database) -> None:
    _, webhook_id = await make(database)
    await database.deliveries.enqueue([EVENT])
    (first,) = due = await database.deliveries.due()
    await database.deliveries.started(due)
    assert await database.deliveries.due() == [], "its workflow has it"
    assert await database.deliveries.replay(webhook_id, first.id) is not None
    assert [(one.id, one.round) for one in await database.deliveries.due()] == [(first.id, 1)]
    await database.deliveries.delivered(first.id, 0, 200)
    assert (await told(database, webhook_id))[0].state == "pending", "that was the round before"
    assert await database.deliveries.replay(webhook_id + 1, first.id) is None


async def test_a_list_goes_backwards_by_page_and_state(database: Database) -> None:
    _, webhook_id = await make(database)
    for n in range(5):
        await database.deliveries.enqueue([OutboxEvent(f"e-{n}", "reservation.used", 1, None, "{}")])
    newest = await database.deliveries.of_webhook(webhook_id, state=None, limit=2)
    assert [one.event_id for one in newest] == ["e-4", "e-3"]
    await database.deliveries.delivered(newest[1].id, 0, 200)
    pending = await database.deliveries.of_webhook(
        webhook_id, state="pending", limit=2, before_id=newest[0].id
    )
    assert [one.event_id for one in pending] == ["e-2", "e-1"]
    assert await database.deliveries.of_webhook(webhook_id + 1, state=None, limit=2) == []


async def test_what_ended_long_ago_is_deleted_and_what_is_pending_stays(
    database: Database, connections: Connections
) -> None:
    _, webhook_id = await make(database)
    await database.deliveries.enqueue([EVENT, OutboxEvent("e-2", "ping", 1, None, "{}")])
    ended, _ = await database.deliveries.due()
    await database.deliveries.delivered(ended.id, 0, 200)
    assert await database.deliveries.prune(timedelta(days=30)) == 0
    await age(connections, webhook_deliveries.c.ended_at, timedelta(days=31))
    assert await database.deliveries.prune(timedelta(days=30)) == 1
    assert [one.state for one in await told(database, webhook_id)] == ["pending"]


async def test_a_removed_webhook_takes_its_deliveries_along(database: Database) -> None:
    _, webhook_id = await make(database)
    assert await database.webhooks.any()
    await database.deliveries.enqueue([EVENT])
    (due,) = await database.deliveries.due()
    assert await database.webhooks.remove(webhook_id)
    assert not await database.webhooks.remove(webhook_id)
    assert await database.deliveries.target(due.id) is None
    assert await database.deliveries.due() == []
    assert not await database.webhooks.any()


class TestPresences:
    """Chargers that come and go."""

    async def test_a_charger_comes_and_goes(self, database: Database) -> None:
        charger = await database.chargers.add(NewCharger("CP-1", site_id="north"))
        await database.links.start("one", "G", "q")
        epoch = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
        assert await database.presences.connected(charger.id, epoch) == [], "it is not ready"
        await database.links.mark_ready(charger.id, epoch)
        (came,) = await database.presences.connected(charger.id, epoch)
        assert (came.ocpp_identity, came.site_id, came.is_connected) == ("CP-1", "north", True)
        (went,) = await database.presences.disconnected(charger.id, epoch)
        assert (went.epoch, went.is_connected) == (epoch, False)
        assert went.at >= came.at

    async def test_who_reconnects_before_the_end_is_noticed_went_before_it_came(
        self, database: Database
    ) -> None:
        charger = await database.chargers.add(NewCharger("CP-1"))
        await database.links.start("one", "G", "q")
        first = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
        await database.links.mark_ready(charger.id, first)
        never_ready = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
        await database.links.release(charger.id, never_ready)
        third = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
        await database.links.mark_ready(charger.id, third)
        went, came = await database.presences.connected(charger.id, third)
        assert (went.epoch, went.is_connected, came.epoch, came.is_connected) == (first, False, third, True)
        assert went.at <= came.at
        (noticed,) = await database.presences.disconnected(charger.id, first)
        assert noticed == went
        assert await database.presences.connected(charger.id, first) == []

        await database.links.release(charger.id, third)
        fourth = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
        await database.links.mark_ready(charger.id, fourth)
        assert [one.epoch for one in await database.presences.connected(charger.id, fourth)] == [fourth]

    async def test_a_dead_gateways_chargers_are_lost_once(
        self, database: Database, connections: Connections
    ) -> None:
        for n in range(3):
            charger = await database.chargers.add(NewCharger(f"CP-{n}"))
            await database.links.start(f"g{n}", "G", "q")
            epoch = (await database.links.take(charger.id, f"g{n}", "ocpp1.6")).epoch
            await database.links.mark_ready(charger.id, epoch)
        assert await database.presences.lost_gateways() == []
        await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
        await database.links.heartbeat("g0")
        assert set(await database.presences.lost_gateways()) == {"g1", "g2"}
        lost: list[Presence] = []
        for _ in range(2):
            await database.presences.mark_lost("g1", heard_by(lost))
        await database.presences.mark_lost("g0", heard_by(lost))  # who was heard since somebody looked
        (one,) = lost
        assert (one.ocpp_identity, one.is_connected) == ("CP-1", False)
        assert datetime.now(UTC) - one.at < timedelta(seconds=15), "not before it came"
        assert await database.presences.lost_gateways() == ["g2"]
        assert (await heartbeat(database, "g2")).loss_was_told is False

    async def test_a_gateway_that_was_only_asleep_brings_its_chargers_back_and_what_ends_then_is_news(
        self, database: Database, connections: Connections
    ) -> None:
        _, webhook_id = await make(database)
        chargers = [(await database.chargers.add(NewCharger(f"CP-{n}"))).id for n in range(4)]
        asleep, ended, late, untold = chargers
        await database.links.start("one", "G", "q")
        epoch = {one: (await database.links.take(one, "one", "ocpp1.6")).epoch for one in chargers}
        for one in (asleep, ended, untold):
            await database.links.mark_ready(one, epoch[one])
        presence = ChargerPresence(database, WebhookOutbox(database))

        async def events(charger_id: int) -> list[str]:
            found = [(one.event_type, json.loads(one.body_json)) for one in await told(database, webhook_id)]
            return [kind for kind, body in reversed(found) if body["data"]["chargerId"] == charger_id]

        for one in (asleep, ended):
            await presence.connected(one, epoch[one])
        for losses in (1, 2):
            await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
            await asyncio.gather(*(presence.look_for_lost() for _ in range(3)))
            assert await events(asleep) == [CAME, WENT] * losses
            await presence.connected(asleep, epoch[asleep])  # a repeat
            if losses == 1:
                await database.links.mark_ready(late, epoch[late])
                await presence.connected(late, epoch[late])
                await presence.disconnected(ended, epoch[ended])
                await presence.connected(untold, epoch[untold])
            for _ in range(2):
                assert (await heartbeat(database, "one")).loss_was_told
                assert await database.links.route(asleep) is not None
            await asyncio.gather(*(presence.back_with("one") for _ in range(3)))
            assert (await heartbeat(database, "one")).loss_was_told is False
            await presence.connected(asleep, epoch[asleep])
            assert await events(asleep) == [CAME, WENT] * losses + [CAME]
            if losses == 1:
                assert await events(ended) == [CAME, WENT], "its socket ended before the gateway was back"
                assert await events(late) == [CAME], "it was not told to be lost"
                assert await events(untold) == [WENT, CAME]
                await database.links.release(ended, epoch[ended])

        for _ in range(2):
            await presence.disconnected(asleep, epoch[asleep])
        assert await events(asleep) == [CAME, WENT] * 3
        assert await events(late) == [CAME, WENT, CAME]

    async def test_whose_gateway_slept_while_they_reconnected_are_told_of_once_for_each_socket(
        self, database: Database, connections: Connections
    ) -> None:
        _, webhook_id = await make(database)
        charger = await database.chargers.add(NewCharger("CP-1"))
        presence = ChargerPresence(database, WebhookOutbox(database))

        async def connect(incarnation: str) -> int:
            await database.links.start(incarnation, "G", "q")
            epoch = (await database.links.take(charger.id, incarnation, "ocpp1.6")).epoch
            await database.links.mark_ready(charger.id, epoch)
            await presence.connected(charger.id, epoch)
            return epoch

        first = await connect("one")
        await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
        await presence.look_for_lost()
        second = await connect("two")
        assert (await heartbeat(database, "one")).loss_was_told
        await presence.back_with("one")
        await presence.disconnected(charger.id, first)
        types = [one.event_type for one in reversed(await told(database, webhook_id))]
        assert types == [CAME, WENT, CAME]

        await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
        await presence.look_for_lost()
        assert (await heartbeat(database, "two")).loss_was_told
        await presence.back_with("two")
        await presence.connected(charger.id, second)
        await presence.disconnected(charger.id, first)  # noticed long after
        types = [one.event_type for one in reversed(await told(database, webhook_id))]
        assert types == [CAME, WENT, CAME, WENT, CAME]
