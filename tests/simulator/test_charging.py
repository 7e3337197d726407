"""Using a reservation, and failing to."""

from datetime import timedelta

import pytest

from simulator import Port, load_personality
from simulator.ports import PortStatus
from tests.simulator.central_system import Payload
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.until import until

VERSIONS = ["1.6", "2.0.1"]


def first_events(b: Bench) -> list[Payload]:
    """What said that a transaction began."""
    if b.charger.version == "1.6":
        return b.calls("StartTransaction")
    return [event for event in b.calls("TransactionEvent") if event["eventType"] == "Started"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_right_token_uses_the_reservation(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(5, tag="TAG-A")
    assert await b.charger.start_charging("TAG-A", port=1)
    await until(lambda: first_events(b))
    assert first_events(b)[0]["reservationId"] == 5
    assert b.charger.reservations == {}
    assert await b.reserve(6) == "Occupied"
    await b.shows("Charging" if version == "1.6" else "Occupied")
    await b.charger.stop_charging(1)
    await b.shows("Available")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_token_is_compared_without_its_case(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(5, tag="TAG-A")
    assert await b.charger.start_charging("tag-a")
    await until(lambda: first_events(b))
    assert first_events(b)[0]["reservationId"] == 5


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_token_of_the_group_uses_the_reservation(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    b.central.groups["TAG-K"] = "P"
    await b.reserve(5, tag="TAG-A", parent="P")
    assert await b.charger.start_charging("TAG-K")
    await until(lambda: first_events(b))
    assert first_events(b)[0]["reservationId"] == 5


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_wrong_token_is_refused_and_the_reservation_stays(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(5, tag="TAG-A")
    assert not await b.charger.start_charging("TAG-B")
    assert b.calls("Authorize")
    assert not first_events(b)
    assert b.charger.status(1) is PortStatus.RESERVED
    assert 5 in b.charger.reservations


async def test_a_blocked_token_charges_nowhere(bench: BenchMaker) -> None:
    b = await bench()
    b.central.blocked.add("TAG-X")
    assert not await b.charger.start_charging("TAG-X", port=2)
    assert b.charger.status(2) is PortStatus.PREPARING


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_cable_at_a_reserved_port_changes_nothing(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(5)
    await b.charger.plug_in(1)
    assert b.charger.status(1) is PortStatus.RESERVED
    await b.charger.unplug(1)
    assert b.charger.status(1) is PortStatus.RESERVED


async def test_in_16_the_reservation_stands_until_the_transaction_starts(bench: BenchMaker) -> None:
    b = await bench(connection_timeout=0.05)
    await b.reserve(5)
    assert await b.charger.swipe("TAG-A")
    await b.shows("Reserved", "Preparing", "Reserved")
    assert 5 in b.charger.reservations


async def test_in_201_the_token_consumes_the_reservation(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1", connection_timeout=0.05)
    await b.reserve(5)
    assert await b.charger.swipe("TAG-A")
    await b.shows("Reserved", "Available")
    assert b.charger.reservations == {}
    await until(lambda: b.charger.status(1) is PortStatus.AVAILABLE)
    assert not b.calls("TransactionEvent")


async def test_a_transaction_by_cable_carries_the_id_in_its_update(bench: BenchMaker) -> None:
    cable_first = load_personality().model_copy(update={"transaction_starts": "plugged"})
    b = await bench(version="2.0.1", personality=cable_first)
    await b.reserve(5)
    await b.charger.start_charging("TAG-A")
    await until(lambda: len(b.calls("TransactionEvent")) == 2)
    started, updated = b.calls("TransactionEvent")
    assert started["eventType"] == "Started"
    assert "reservationId" not in started
    assert (updated["eventType"], updated["reservationId"]) == ("Updated", 5)
    await b.charger.stop_charging(1)
    await until(lambda: len(b.calls("TransactionEvent")) == 3)
    assert "reservationId" not in b.calls("TransactionEvent")[2]


@pytest.mark.parametrize("version", VERSIONS)
async def test_meter_values_and_the_end_name_the_transaction(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.charger.start_charging("TAG-A")
    await until(lambda: b.charger.charging.transaction_id(1))
    transaction_id = b.charger.charging.transaction_id(1)
    await b.charger.meter(1, 1500)
    await b.charger.stop_charging(1)
    await b.shows("Available")
    if version == "1.6":
        await until(lambda: b.calls("StopTransaction"))
        assert b.calls("MeterValues")[0]["transactionId"] == transaction_id
        assert b.calls("StopTransaction")[0]["transactionId"] == transaction_id
        assert b.calls("StopTransaction")[0]["meterStop"] == 1500
    else:
        await until(lambda: len(b.calls("TransactionEvent")) == 3)
        events = b.calls("TransactionEvent")
        assert [event["eventType"] for event in events] == ["Started", "Updated", "Ended"]
        assert [event["seqNo"] for event in events] == [0, 1, 2]
        assert {event["transactionInfo"]["transactionId"] for event in events} == {transaction_id}


async def test_a_remote_start_uses_the_reservation_of_its_token_only(bench: BenchMaker) -> None:
    b = await bench()
    await b.reserve(5, tag="TAG-A")
    await b.charger.plug_in(1)
    wrong = await b.link.call("RemoteStartTransaction", {"idTag": "TAG-B", "connectorId": 1})
    assert wrong["status"] == "Rejected"
    right = await b.link.call("RemoteStartTransaction", {"idTag": "TAG-A"})
    assert right["status"] == "Accepted"
    await until(lambda: b.calls("StartTransaction"))
    assert b.calls("StartTransaction")[0]["reservationId"] == 5
    await until(lambda: b.charger.charging.transaction_id(1))
    stop = {"transactionId": b.charger.charging.transaction_id(1)}
    assert (await b.link.call("RemoteStopTransaction", stop))["status"] == "Accepted"
    await until(lambda: b.calls("StopTransaction"))
    assert b.calls("StopTransaction")[0]["reason"] == "Remote"


async def test_a_request_start_uses_the_reservation_of_its_token_only(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1")
    await b.reserve(5, tag="TAG-A")
    await b.charger.plug_in(1)
    wrong = {"idToken": {"idToken": "TAG-B", "type": "Central"}, "remoteStartId": 1, "evseId": 1}
    assert (await b.link.call("RequestStartTransaction", wrong))["status"] == "Rejected"
    right = {"idToken": {"idToken": "TAG-A", "type": "Central"}, "remoteStartId": 2}
    assert (await b.link.call("RequestStartTransaction", right))["status"] == "Accepted"
    await until(lambda: b.calls("TransactionEvent"))
    event = b.calls("TransactionEvent")[0]
    assert event["reservationId"] == 5
    assert event["transactionInfo"]["remoteStartId"] == 2
    stop = {"transactionId": event["transactionInfo"]["transactionId"]}
    assert (await b.link.call("RequestStopTransaction", stop))["status"] == "Accepted"


async def test_a_token_refused_at_the_start_ends_the_transaction(bench: BenchMaker) -> None:
    b = await bench(personality="openocpp16")
    await b.reserve(5, tag="TAG-A")
    b.central.blocked.add("TAG-A")
    await b.charger.start_charging("TAG-A")
    await until(lambda: b.calls("StopTransaction"))
    assert b.calls("StopTransaction")[0]["reason"] == "DeAuthorized"


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_connector_of_a_port_is_reported(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version, ports=[Port(1, ("cCCS2", "cG105"))])
    await b.reserve(1)
    expected = 1 if version == "1.6" else 2
    await until(lambda: b.statuses(1).count("Reserved") == expected)


async def test_a_plug_type_the_charger_lacks_is_rejected(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1")
    assert await b.reserve(1, port=None, connectorType="cG105") == "Rejected"
    assert await b.reserve(2, port=None, connectorType="cCCS2") == "Accepted"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_start_by_the_makers_app_uses_the_reservation_of_its_token_only(
    bench: BenchMaker, version: str
) -> None:
    b = await bench(version=version)
    await b.reserve(5, tag="TAG-A")
    assert not await b.charger.remote_start("TAG-B")
    assert await b.charger.remote_start("TAG-A")
    await until(lambda: first_events(b))
    assert first_events(b)[0]["reservationId"] == 5


async def test_a_remote_start_after_the_cable_is_an_update_with_its_token(bench: BenchMaker) -> None:
    cable_first = load_personality().model_copy(update={"transaction_starts": "plugged"})
    b = await bench(version="2.0.1", personality=cable_first)
    await b.reserve(5)
    assert await b.charger.remote_start("TAG-A")
    await until(lambda: len(b.calls("TransactionEvent")) == 2)
    updated = b.calls("TransactionEvent")[1]
    assert (updated["eventType"], updated["triggerReason"]) == ("Updated", "RemoteStart")
    assert "remoteStartId" in updated["transactionInfo"]


@pytest.mark.parametrize(
    ("zone", "hours_ahead", "ending"),
    [("utc", 0, "Z"), ("utc_untold", 0, ""), ("local", 2, "+02:00"), ("local_untold", 2, "")],
)
async def test_a_charger_writes_its_times_in_its_own_zone(
    bench: BenchMaker, zone: str, hours_ahead: int, ending: str
) -> None:
    b = await bench(personality=load_personality().model_copy(update={"time_zone": zone}))
    await b.charger.start_charging("TAG-A")
    await until(lambda: first_events(b))
    session = b.charger.charging.session(1)
    assert session is not None
    shown = (session.started_at + timedelta(hours=hours_ahead)).strftime("%Y-%m-%dT%H:%M:%S")
    told = first_events(b)[0]["timestamp"]
    assert told.startswith(shown)
    assert told[len("2026-01-01T00:00:00.000") :] == ending
    assert bool(b.central.violations) == zone.endswith("untold")  # the schemas want a zone
    b.central.violations.clear()
