"""Which gateway holds a charger's socket, and until when that is believed."""

from datetime import datetime, timedelta

import pytest

from berth.database import Charger, Database
from berth.database.connections import Connections
from berth.database.tables import gateways, links
from tests.database.time_passes import age


@pytest.fixture
async def epoch(database: Database, charger: Charger) -> int:
    """A ready socket of the charger, held by incarnation "one"."""
    await database.links.start("one", "g", "queue-1")
    epoch = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
    assert await database.links.mark_ready(charger.id, epoch)
    return epoch


async def ready_for(database: Database, charger: Charger) -> timedelta | None:
    seen = await database.chargers.look(charger.id, None, "")
    assert seen is not None
    return seen.ready_for


async def test_a_route_leads_to_the_gateway_of_a_ready_socket(
    database: Database, charger: Charger, now: datetime
) -> None:
    await database.links.start("one", "g", "queue-1")
    assert await database.links.route(charger.id) is None
    epoch = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
    assert await database.links.route(charger.id) is None, "connected is not ready"
    assert await ready_for(database, charger) is None
    await database.links.mark_ready(charger.id, epoch)
    link = await database.links.route(charger.id)
    assert link is not None
    assert (link.charger_id, link.incarnation, link.queue) == (charger.id, "one", "queue-1")
    assert (link.epoch, link.protocol) == (epoch, "ocpp1.6")
    assert now - timedelta(minutes=1) < link.connected_at <= link.ready_at
    assert link.ready_at.utcoffset() == timedelta(0)


async def test_readiness_counts_from_its_first_moment(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await age(connections, links.c.ready_at, timedelta(seconds=100))
    assert await database.links.mark_ready(charger.id, epoch)
    duration = await ready_for(database, charger)
    assert duration is not None
    assert timedelta(seconds=100) <= duration < timedelta(seconds=160)


async def test_a_silent_gateway_is_dead_until_it_is_heard_again(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=14))
    assert await database.links.route(charger.id) is not None
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=2))
    assert await database.links.route(charger.id) is None
    assert await ready_for(database, charger) is None
    assert await database.links.heartbeat("one")
    assert await database.links.route(charger.id) is not None


async def test_an_unknown_gateway_learns_that_it_is_unknown(database: Database) -> None:
    assert not await database.links.heartbeat("never started")


async def test_a_released_socket_is_gone_and_its_epoch_stays_counted(
    database: Database, charger: Charger, epoch: int
) -> None:
    assert await database.links.release(charger.id, epoch)
    assert await database.links.route(charger.id) is None
    assert not await database.links.owns(charger.id, epoch)
    assert not await database.links.release(charger.id, epoch)
    assert not await database.links.mark_ready(charger.id, epoch)
    assert (await database.links.take(charger.id, "one", "ocpp1.6")).epoch > epoch


async def test_the_newer_socket_wins_and_the_older_can_do_it_no_harm(
    database: Database, other: Database, charger: Charger, epoch: int
) -> None:
    await other.links.start("two", "h", "queue-2")
    newer = (await other.links.take(charger.id, "two", "ocpp2.0.1")).epoch
    assert newer > epoch
    assert not await database.links.owns(charger.id, epoch)
    assert await other.links.owns(charger.id, newer)
    assert not await database.links.mark_ready(charger.id, epoch), "readiness is not inherited"
    assert await database.links.route(charger.id) is None
    assert await other.links.mark_ready(charger.id, newer)
    assert not await database.links.release(charger.id, epoch)
    link = await database.links.route(charger.id)
    assert link is not None
    assert (link.queue, link.epoch, link.protocol) == ("queue-2", newer, "ocpp2.0.1")


async def test_a_stopped_gateway_leaves_no_link_of_its_own_and_all_of_others(
    database: Database, charger: Charger, epoch: int
) -> None:
    second = await database.chargers.register("CP-2")
    await database.links.start("two", "h", "queue-2")
    kept = (await database.links.take(second.id, "two", "ocpp1.6")).epoch
    await database.links.mark_ready(second.id, kept)
    await database.links.stop("one")
    assert await database.links.route(charger.id) is None
    assert not await database.links.owns(charger.id, epoch)
    assert not await database.links.heartbeat("one")
    assert await database.links.route(second.id) is not None
    assert (await database.links.take(charger.id, "two", "ocpp1.6")).epoch > epoch


async def test_a_gateway_silent_for_a_day_is_forgotten_by_the_next_start(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await age(connections, gateways.c.heartbeat_at, timedelta(hours=25))
    await database.links.start("two", "g", "queue-2")
    assert not await database.links.heartbeat("one")
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert found.status_at is not None
    assert timedelta(hours=24) < datetime.now().astimezone() - found.status_at < timedelta(hours=26)


async def test_a_draining_gateway_gets_no_new_commands_and_keeps_its_sockets(
    database: Database, charger: Charger, epoch: int, now: datetime
) -> None:
    await database.links.drain("one")
    assert await database.links.route(charger.id) is None
    assert await ready_for(database, charger) is None
    target = await database.chargers.port_target(charger.ports[0].id)
    assert target is not None
    assert (target.queue, target.epoch) == (None, None)
    seen = await database.chargers.by_id(charger.id)
    assert seen is not None
    assert not seen.online
    assert seen.status_at is not None
    assert abs(seen.status_at - now) < timedelta(minutes=1)
    assert await database.links.owns(charger.id, epoch), "running commands are written all the same"


async def test_a_socket_that_becomes_ready_while_its_gateway_drains_is_not_routed_to(
    database: Database, charger: Charger
) -> None:
    await database.links.start("one", "g", "queue-1")
    epoch = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
    await database.links.drain("one")
    await database.links.drain("one")
    assert await database.links.heartbeat("one")
    assert await database.links.mark_ready(charger.id, epoch)
    assert await database.links.route(charger.id) is None


async def test_a_charger_that_left_a_draining_gateway_is_routed_to_at_the_next(
    database: Database, charger: Charger, epoch: int
) -> None:
    await database.links.drain("one")
    await database.links.start("two", "g", "queue-2")
    newer = (await database.links.take(charger.id, "two", "ocpp1.6")).epoch
    await database.links.mark_ready(charger.id, newer)
    link = await database.links.route(charger.id)
    assert link is not None
    assert link.queue == "queue-2"


async def test_gateways_silent_for_a_day_are_pruned_with_their_links(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await age(connections, gateways.c.heartbeat_at, timedelta(hours=25))
    await database.links.start("two", "g", "queue-2")
    await database.links.take(charger.id, "two", "ocpp1.6")
    await age(connections, gateways.c.heartbeat_at, timedelta(hours=23))
    assert await database.links.prune() == 0
    await age(connections, gateways.c.heartbeat_at, timedelta(hours=2))
    assert await database.links.prune() == 1
    assert not await database.links.heartbeat("two")
    assert not await database.links.owns(charger.id, epoch + 1)


async def test_gateways_are_listed_with_what_they_hold_and_how_they_are(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=100))
    await database.links.start("two", "h", "queue-2")
    for identity in ("CP-2", "CP-3"):
        registered = await database.chargers.register(identity)
        await database.links.take(registered.id, "two", "ocpp1.6")
    await database.links.start("three", "a", "queue-3")
    await database.links.drain("three")
    idle, dead, busy = await database.links.gateways()
    assert (idle.incarnation, idle.gateway_id, idle.chargers) == ("three", "a", 0)
    assert (idle.lives, idle.drains) == (True, True)
    assert (dead.incarnation, dead.gateway_id, dead.chargers) == ("one", "g", 1)
    assert (dead.lives, dead.drains) == (False, False)
    assert timedelta(seconds=100) <= dead.silent_for < timedelta(seconds=160)
    assert (busy.incarnation, busy.gateway_id, busy.chargers) == ("two", "h", 2)
    assert (busy.lives, busy.drains) == (True, False)
    assert timedelta(0) <= busy.silent_for < timedelta(seconds=15)


async def test_a_gateway_no_longer_holds_what_it_released_and_is_not_listed_when_it_stopped(
    database: Database, charger: Charger, epoch: int
) -> None:
    await database.links.release(charger.id, epoch)
    (gateway,) = await database.links.gateways()
    assert gateway.chargers == 0
    await database.links.stop("one")
    assert await database.links.gateways() == []


# --- how long a charger was away ----------------------------------------------------------------------


async def outage(database: Database, charger: Charger) -> timedelta | None:
    return (await database.links.take(charger.id, "one", "ocpp1.6")).outage


async def test_a_charger_that_never_had_a_socket_was_not_away(database: Database, charger: Charger) -> None:
    await database.links.start("one", "g", "queue-1")
    assert await outage(database, charger) is None


async def test_an_outage_is_from_the_release_of_the_socket_before_to_this_one(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await database.links.release(charger.id, epoch)
    await age(connections, links.c.disconnected_at, timedelta(seconds=100))
    away = await outage(database, charger)
    assert away is not None
    assert timedelta(seconds=100) <= away < timedelta(seconds=160)


async def test_a_socket_that_never_was_ready_ends_no_outage(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await database.links.release(charger.id, epoch)
    await age(connections, links.c.disconnected_at, timedelta(seconds=100))
    released = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
    await database.links.release(charger.id, released)
    await database.links.take(charger.id, "one", "ocpp1.6")  # replaced by the next
    away = await outage(database, charger)
    assert away is not None
    assert timedelta(seconds=100) <= away < timedelta(seconds=160)


async def test_a_socket_that_is_replaced_ends_with_that(
    database: Database, charger: Charger, epoch: int
) -> None:
    away = await outage(database, charger)
    assert away is not None
    assert away < timedelta(seconds=1)


async def test_a_socket_ended_with_its_gateways_last_heartbeat(
    database: Database, charger: Charger, connections: Connections, epoch: int
) -> None:
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=100))
    await database.links.start("two", "h", "queue-2")
    away = (await database.links.take(charger.id, "two", "ocpp1.6")).outage
    assert away is not None
    assert timedelta(seconds=100) <= away < timedelta(seconds=160)
