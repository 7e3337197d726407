"""Chargers and ports: added, found, changed, and where their commands go."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from berth.database import AlreadyExists, Charger, ChargerTarget, Database, NewCharger, NewPort, PortTarget
from berth.database.connections import Connections
from berth.database.tables import gateways
from tests.database.time_passes import age


async def test_a_new_charger_comes_back_as_it_was_given(database: Database) -> None:
    added = await database.chargers.add(
        NewCharger(
            "CP/ü 1",
            name="Yard",
            site_id="north",
            external_id="ext-1",
            latitude=52.5,
            longitude=13.25,
            charger_type="AC",
            ports=[NewPort(1, plug_type="sType2", maximum_power_kw=22.5, name="left"), NewPort(2)],
            password="0123456789abcdef",
            security_profile=2,
        )
    )
    assert (added.ocpp_identity, added.name, added.site_id) == ("CP/ü 1", "Yard", "north")
    assert (added.latitude, added.longitude, added.charger_type) == (52.5, 13.25, "AC")
    assert (added.has_password, added.online, added.status_at) == (True, False, None)
    assert added.security_profile == 2
    left, right = added.ports
    assert (left.port_number, left.plug_type, left.maximum_power_kw, left.name) == (1, "sType2", 22.5, "left")
    assert (right.port_number, right.charger_id, right.status) == (2, added.id, None)
    assert await database.chargers.by_id(added.id) == added
    assert await database.chargers.by_identity("cp/Ü 1") == added
    assert await database.chargers.by_external_id("ext-1") == added


async def test_what_is_not_there_is_none(database: Database) -> None:
    assert await database.chargers.by_id(1) is None
    assert await database.chargers.by_identity("CP-1") is None
    assert await database.chargers.by_external_id("x") is None
    assert await database.chargers.port_target(1) is None
    assert await database.chargers.charger_target(1) is None
    assert await database.chargers.credentials("CP-1") is None
    assert await database.chargers.update(1, name="x") is None
    assert await database.chargers.remove(1) is False
    assert await database.chargers.all() == []


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (NewCharger("cp-A"), "ocpp_identity"),
        (NewCharger("CP-B", external_id="ext"), "external_id"),
        (NewCharger("CP-B", ports=[NewPort(1), NewPort(1)]), "port_number"),
    ],
)
async def test_what_is_taken_is_named_and_nothing_is_added(
    database: Database, second: NewCharger, field: str
) -> None:
    first = await database.chargers.add(NewCharger("CP-A", external_id="ext"))
    with pytest.raises(AlreadyExists) as taken:
        await database.chargers.add(second)
    assert taken.value.field == field
    assert await database.chargers.all() == [first]


@pytest.mark.parametrize("identity", ["", "x" * 49])
async def test_an_identity_has_1_to_48_characters(database: Database, identity: str) -> None:
    with pytest.raises(ValueError, match="ocpp_identity"):
        await database.chargers.add(NewCharger(identity))
    with pytest.raises(ValueError, match="ocpp_identity"):
        await database.chargers.register(identity)


async def test_registering_twice_gives_one_charger(database: Database) -> None:
    first = await database.chargers.register("CP-1")
    assert await database.chargers.register("cp-1") == first
    assert first.ports == ()


async def test_a_change_leaves_the_rest_alone(database: Database) -> None:
    before = await database.chargers.add(NewCharger("CP-1", site_id="north", ports=[NewPort(1, name="left")]))
    after = await database.chargers.update(before.id, name="Yard", ports=[NewPort(2, plug_type="cCCS2")])
    assert after is not None
    assert (after.name, after.site_id, after.ports[0]) == ("Yard", "north", before.ports[0])
    assert after.ports[1].plug_type == "cCCS2"


async def test_changed_settings_of_a_port_leave_its_status_alone(
    database: Database, charger: Charger, now: datetime
) -> None:
    await database.chargers.record_status(charger.id, 1, 1, "Available", now)
    after = await database.chargers.update(charger.id, ports=[NewPort(1, name="left")])
    assert after is not None
    assert (after.ports[0].id, after.ports[0].name) == (charger.ports[0].id, "left")
    assert (after.ports[0].status, after.ports[0].status_at) == ("Available", now)


async def test_a_change_to_a_taken_value_is_refused(database: Database, charger: Charger) -> None:
    await database.chargers.add(NewCharger("CP-2", external_id="ext"))
    with pytest.raises(AlreadyExists, match="external_id"):
        await database.chargers.update(charger.id, external_id="ext")
    with pytest.raises(AlreadyExists, match="ocpp_identity"):
        await database.chargers.update(charger.id, ocpp_identity="cp-2")
    assert await database.chargers.by_id(charger.id) == charger


async def test_a_removed_chargers_ids_are_never_given_again(database: Database, charger: Charger) -> None:
    """Workflow ids carry the charger's id and outlive its row."""
    await database.links.take(charger.id, "incarnation", "ocpp1.6")
    await database.chargers.record_status(charger.id, 1, 1, "Available", datetime.now().astimezone())
    assert await database.chargers.remove(charger.id)
    again = await database.chargers.add(NewCharger("CP-1", ports=[NewPort(1)]))
    assert again.id > charger.id
    assert again.ports[0].id > charger.ports[1].id


async def test_lists_come_in_pages_within_the_scope(database: Database) -> None:
    sites = ["north", "south", "north", None]
    ids = [
        (await database.chargers.add(NewCharger(f"CP-{n}", site_id=site, ports=[NewPort(1), NewPort(2)]))).id
        for n, site in enumerate(sites)
    ]

    async def found(**scope: object) -> list[int]:
        return [charger.id for charger in await database.chargers.all(**scope)]  # type: ignore[arg-type]  # any of all's

    assert await found() == ids
    assert await found(limit=3) == ids[:3]
    assert await found(limit=3, after_id=ids[2]) == ids[3:]
    assert await found(site_ids={"north"}) == [ids[0], ids[2]]
    assert await found(charger_ids={ids[1], ids[2]}) == ids[1:3]
    assert await found(site_ids={"north"}, charger_ids={ids[1], ids[2]}) == [ids[2]]
    assert await found(charger_ids=frozenset()) == []


async def test_boot_facts_are_kept_and_missing_ones_change_nothing(
    database: Database, charger: Charger
) -> None:
    await database.chargers.set_identity_facts(charger.id, "Maker", "M1", "SN", "1.0")
    await database.chargers.set_identity_facts(charger.id, "Maker", "M1", None, "1.1")
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert (found.manufacturer, found.model, found.serial_number) == ("Maker", "M1", "SN")
    assert found.firmware_version == "1.1"


async def test_a_port_leads_to_its_chargers_gateway_only_while_that_is_ready(
    database: Database, charger: Charger, connections: Connections
) -> None:
    port = charger.ports[1]
    offline = PortTarget(port.id, 2, charger.id, "CP-1", None, None, None)
    await database.links.start("incarnation", "g", "queue-1")
    assert await database.chargers.port_target(port.id) == offline
    epoch = (await database.links.take(charger.id, "incarnation", "ocpp1.6")).epoch
    assert await database.chargers.port_target(port.id) == offline
    await database.links.mark_ready(charger.id, epoch)
    assert await database.chargers.port_target(port.id) == PortTarget(
        port.id, 2, charger.id, "CP-1", None, "queue-1", epoch
    )
    whole = ChargerTarget(charger.id, "CP-1", None, "queue-1", epoch)
    assert await database.chargers.charger_target(charger.id) == whole
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=16))
    assert await database.chargers.port_target(port.id) == offline
    assert await database.chargers.charger_target(charger.id) == replace(whole, queue=None, epoch=None)


async def test_a_charger_tells_since_when_it_is_online_or_not(
    database: Database, charger: Charger, connections: Connections
) -> None:
    async def seen() -> Charger:
        found = await database.chargers.by_id(charger.id)
        assert found is not None
        return found

    await database.links.start("incarnation", "g", "queue-1")
    epoch = (await database.links.take(charger.id, "incarnation", "ocpp2.0.1")).epoch
    await database.links.mark_ready(charger.id, epoch)
    link = await database.links.route(charger.id)
    assert link is not None
    online = await seen()
    assert (online.online, online.status_at, online.protocol) == (True, link.ready_at, "ocpp2.0.1")

    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=16))
    lost = await seen()
    assert lost.online is False
    assert lost.status_at is not None
    assert lost.status_at < link.ready_at, "the gateway was last heard of before"

    await database.links.release(charger.id, epoch)
    released = await seen()
    assert (released.online, released.protocol) == (False, "ocpp2.0.1")
    assert released.status_at is not None
    assert released.status_at >= link.ready_at


async def test_text_no_database_can_store_is_stored_replaced(database: Database, charger: Charger) -> None:
    await database.chargers.set_identity_facts(charger.id, "a\0b", "c\ud800d")
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert (found.manufacturer, found.model) == ("a\ufffdb", "c?d")
    assert await database.chargers.by_identity("CP\0") is None


async def test_sites_are_those_that_chargers_have(database: Database) -> None:
    assert await database.chargers.sites() == []
    for n, site in enumerate(["south", "north", None, "south"]):
        await database.chargers.add(NewCharger(f"CP-{n}", site_id=site))
    assert await database.chargers.sites() == ["north", "south"]
