"""From the statuses of connectors to the status of a port."""

from datetime import datetime, timedelta

import pytest

from berth.database import Charger, Database, NewCharger, NewEvent, StatusChange


async def test_a_report_changes_its_port_once(database: Database, charger: Charger, now: datetime) -> None:
    port = charger.ports[0]
    later = now + timedelta(seconds=1)
    report = database.chargers.record_status
    assert await report(charger.id, 1, 1, "Preparing", now) == StatusChange(port.id, 1, None, "Preparing")
    assert await report(charger.id, 1, 1, "Preparing", later) is None
    assert await report(charger.id, 1, 1, "Charging", later) == StatusChange(
        port.id, 1, "Preparing", "Charging"
    )
    assert await report(charger.id, 2, 2, "Charging", later) is not None, "the other port has its own"


async def test_a_change_and_its_events_are_kept_together_or_not_at_all(
    database: Database, charger: Charger, now: datetime
) -> None:
    report = database.chargers.record_status

    def tell(change: StatusChange) -> list[NewEvent]:
        return [NewEvent(charger.id, "reservation-1-7", "port_status", f'"{change.after}"')]

    def fail(change: StatusChange) -> list[NewEvent]:
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        await report(charger.id, 1, 1, "Faulted", now, events_for=fail)
    assert await report(charger.id, 1, 1, "Faulted", now, events_for=tell) is not None
    assert await report(charger.id, 1, 1, "Faulted", now, events_for=tell) is None
    stored = await database.events.next_of(charger.id)
    assert [event.payload_json for event in stored] == ['"Faulted"']


async def test_what_changes_nothing_is_told_on_request_only(
    database: Database, charger: Charger, now: datetime
) -> None:
    told: list[StatusChange] = []

    def tell(change: StatusChange) -> list[NewEvent]:
        told.append(change)
        return []

    report = database.chargers.record_status
    await report(charger.id, 1, 1, "Reserved", now)
    assert await report(charger.id, 1, 1, "Reserved", now, events_for=tell) is None
    assert told == []
    assert await report(charger.id, 1, 1, "Reserved", now, events_for=tell, even_unchanged=True) is None
    assert told == [StatusChange(charger.ports[0].id, 1, "Reserved", "Reserved")]


async def test_the_status_of_a_port_and_of_the_charger_is_the_last_one(
    database: Database, charger: Charger, now: datetime
) -> None:
    assert await database.chargers.status_of(charger.id, 1) is None
    assert await database.chargers.status_of(charger.id, 0) is None
    for port_number, connector_id, status in ((1, 1, "Occupied"), (1, 2, "Available"), (0, 0, "Faulted")):
        await database.chargers.record_status(charger.id, port_number, connector_id, status, now)
    assert await database.chargers.status_of(charger.id, 1) == "Occupied"
    assert await database.chargers.status_of(charger.id, 0) == "Faulted"
    assert await database.chargers.status_of(charger.id, 9) is None


async def test_the_last_report_is_kept_with_its_details(
    database: Database, charger: Charger, now: datetime
) -> None:
    report = database.chargers.record_status
    await report(charger.id, 1, 1, "Faulted", now, "GroundFailure", "E7", "wet")
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    port = found.ports[0]
    assert (port.status, port.status_at, port.error_code) == ("Faulted", now, "GroundFailure")
    assert (port.vendor_error_code, port.info) == ("E7", "wet")
    later = now + timedelta(seconds=5)
    await report(charger.id, 1, 1, "Faulted", later)
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert (found.ports[0].status_at, found.ports[0].error_code) == (later, None)


@pytest.mark.parametrize(
    ("of_the_connectors", "of_the_port"),
    [
        (["Available", "Occupied"], "Occupied"),
        (["Occupied", "Reserved"], "Occupied"),
        (["Available", "Reserved"], "Reserved"),
        (["Available", "Faulted"], "Available"),
        (["Unavailable", "Faulted"], "Faulted"),
        (["Unavailable", "Unavailable"], "Unavailable"),
        (["Unavailable", "Available", "Occupied"], "Occupied"),
    ],
)
async def test_several_connectors_make_one_status(
    database: Database, charger: Charger, now: datetime, of_the_connectors: list[str], of_the_port: str
) -> None:
    for connector_id, status in enumerate(of_the_connectors, start=1):
        await database.chargers.record_status(charger.id, 1, connector_id, status, now)
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert found.ports[0].status == of_the_port


async def test_a_connector_that_changes_nothing_for_its_port_is_no_change(
    database: Database, charger: Charger, now: datetime
) -> None:
    await database.chargers.record_status(charger.id, 1, 1, "Occupied", now)
    await database.chargers.record_status(charger.id, 1, 2, "Available", now)
    assert await database.chargers.record_status(charger.id, 1, 2, "Faulted", now) is None
    assert await database.chargers.record_status(charger.id, 1, 1, "Available", now) == StatusChange(
        charger.ports[0].id, 1, "Occupied", "Available"
    )


async def test_an_unknown_port_appears_only_on_request(database: Database, now: datetime) -> None:
    charger = await database.chargers.add(NewCharger("CP-1"))
    assert await database.chargers.record_status(charger.id, 1, 1, "Available", now) is None
    change = await database.chargers.record_status(charger.id, 1, 1, "Available", now, create=True)
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert change == StatusChange(found.ports[0].id, 1, None, "Available")


async def test_number_0_is_the_charger_itself_and_no_port(
    database: Database, charger: Charger, now: datetime
) -> None:
    report = database.chargers.record_status
    assert await report(charger.id, 0, 0, "Available", now, create=True) == StatusChange(
        None, 0, None, "Available"
    )
    assert await report(charger.id, 0, 0, "Available", now) is None
    assert await report(charger.id, 0, 0, "Faulted", now) == StatusChange(None, 0, "Available", "Faulted")
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert [port.port_number for port in found.ports] == [1, 2]


@pytest.mark.parametrize("port_number", [0, 1])
async def test_a_charger_removed_meanwhile_is_no_error(
    database: Database, charger: Charger, now: datetime, port_number: int
) -> None:
    await database.chargers.remove(charger.id)
    report = database.chargers.record_status
    assert await report(charger.id, port_number, 1, "Available", now, create=True) is None
