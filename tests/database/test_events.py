"""Events wait in order until their workflow has heard them."""

from datetime import datetime, timedelta

from berth.database import Charger, Database, NewEvent
from berth.database.connections import Connections
from berth.database.tables import gateways
from tests.database.time_passes import age


async def test_events_come_back_in_the_order_they_were_stored(database: Database, now: datetime) -> None:
    first = await database.events.store(1, "w-1", "port_status", '{"a": 1}')
    more = await database.events.store_many(
        [
            NewEvent(1, "w-2", "charger_booted", "{}"),
            NewEvent(2, "w-3", "x", "{}"),
            NewEvent(1, "w-1", "y", "{}"),
        ]
    )
    assert [first, *more] == sorted({first, *more})
    events = await database.events.next_of(1, 10)
    assert [(event.id, event.workflow_id, event.kind) for event in events] == [
        (first, "w-1", "port_status"),
        (more[0], "w-2", "charger_booted"),
        (more[2], "w-1", "y"),
    ]
    assert (events[0].charger_id, events[0].payload_json) == (1, '{"a": 1}')
    assert abs(events[0].stored_at - now) < timedelta(minutes=1)
    assert [event.id for event in await database.events.next_of(1, 2)] == [first, more[0]]


async def test_delivered_events_are_gone_and_their_ids_never_come_back(database: Database) -> None:
    ids = [await database.events.store(1, "w", "k", "{}") for _ in range(3)]
    await database.events.delivered(ids[:2])
    assert [event.id for event in await database.events.next_of(1)] == ids[2:]
    await database.events.delivered(ids)
    assert await database.events.store(1, "w", "k", "{}") > ids[2]


async def test_nothing_to_store_and_nothing_delivered_are_nothing(database: Database) -> None:
    assert await database.events.store_many([]) == []
    await database.events.delivered([])
    assert await database.events.next_of(1) == []


async def test_many_events_are_stored_and_delivered_at_once(database: Database) -> None:
    ids = await database.events.store_many([NewEvent(1, "w", f"k{n}", "{}") for n in range(2000)])
    stored = await database.events.next_of(1, 5000)
    assert [(event.id, event.kind) for event in stored] == [(i, f"k{n}") for n, i in enumerate(ids)]
    await database.events.delivered(ids)
    assert await database.events.next_of(1) == []


async def test_orphans_are_chargers_whose_socket_no_live_gateway_holds(
    database: Database, charger: Charger, connections: Connections
) -> None:
    second = await database.chargers.register("CP-2")
    for charger_id in (second.id, charger.id, charger.id):
        await database.events.store(charger_id, "w", "k", "{}")
    assert await database.events.orphans(10) == [second.id, charger.id]
    assert await database.events.orphans(1) == [second.id]
    await database.links.start("one", "g", "queue-1")
    epoch = (await database.links.take(second.id, "one", "ocpp1.6")).epoch
    assert await database.events.orphans(10) == [charger.id]
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=16))
    assert await database.events.orphans(10) == [second.id, charger.id]
    await database.links.heartbeat("one")
    await database.links.release(second.id, epoch)
    assert await database.events.orphans(10) == [second.id, charger.id]


async def test_the_backlog_counts_what_waits_and_knows_the_oldest(database: Database) -> None:
    empty = await database.events.backlog()
    assert (empty.count, empty.oldest_age) == (0, timedelta(0))
    ids = [await database.events.store(charger, "w", "k", "{}") for charger in (1, 2)]
    waiting = await database.events.backlog()
    assert waiting.count == 2
    assert timedelta(0) <= waiting.oldest_age < timedelta(minutes=1)
    await database.events.delivered(ids[:1])
    assert (await database.events.backlog()).count == 1
