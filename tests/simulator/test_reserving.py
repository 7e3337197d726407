"""A charger of the specification, in both versions, over a real websocket."""

import pytest

from simulator.ports import PortStatus
from tests.simulator.conftest import BenchMaker
from tests.simulator.until import until

VERSIONS = ["1.6", "2.0.1"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_charger_boots_and_reports_each_port(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.shows("Available", port=1)
    await b.shows("Available", port=2)
    assert len(b.calls("BootNotification")) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_free_port_is_reserved_and_shown_after_the_answer(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    assert await b.reserve(7, port=2) == "Accepted"
    await b.shows("Reserved", port=2)
    assert b.charger.reservations[7][:2] == (2, "TAG-A")
    order = b.link.order()
    assert order.index("rx answer Accepted") < order.index("rx StatusNotification Reserved")


@pytest.mark.parametrize("version", VERSIONS)
async def test_each_refusal_has_its_real_cause(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    assert await b.reserve(1) == "Accepted"
    assert await b.reserve(2) == "Occupied"
    await b.charger.fault(2)
    assert await b.reserve(3, port=2) == "Faulted"
    await b.charger.recover(2)
    assert await b.change_availability(2, operative=False) == "Accepted"
    await b.shows("Unavailable", port=2)
    assert await b.reserve(4, port=2) == "Unavailable"
    assert await b.change_availability(2, operative=True) == "Accepted"
    await b.shows("Available", port=2)
    await b.charger.plug_in(2)
    assert await b.reserve(5, port=2) == "Occupied"
    await b.charger.unplug(2)
    assert await b.reserve(6, port=9) == "Rejected"
    assert await b.reserve(7, port=2, seconds=-60) == "Rejected"
    assert list(b.charger.reservations) == [1]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_same_id_replaces_and_moves(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    assert await b.reserve(1, port=1) == "Accepted"
    assert await b.reserve(1, port=1, tag="TAG-B") == "Accepted"
    assert b.charger.reservations[1][:2] == (1, "TAG-B")
    assert await b.reserve(1, port=2, tag="TAG-B") == "Accepted"
    await b.shows("Reserved", "Available", port=1)
    await b.shows("Reserved", port=2)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_failed_replacement_keeps_the_old_reservation(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.charger.fault(2)
    assert await b.reserve(1, port=1) == "Accepted"
    assert await b.reserve(1, port=2) == "Faulted"
    assert b.charger.reservations[1][0] == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_cancel_frees_the_port_once(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(1)
    assert await b.cancel(1) == "Accepted"
    await b.shows("Reserved", "Available")
    assert await b.cancel(1) == "Rejected"
    assert not b.calls("ReservationStatusUpdate")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_whole_charger_reservation_shows_only_when_every_free_port_is_needed(
    bench: BenchMaker, version: str
) -> None:
    b = await bench(version=version)
    assert await b.reserve(1, port=None) == "Accepted"
    assert b.charger.status(1) is PortStatus.AVAILABLE
    assert await b.reserve(2, port=1, tag="TAG-B") == "Accepted"
    await b.shows("Reserved", port=2)
    assert await b.reserve(3, port=2, tag="TAG-C") == "Occupied"
    assert await b.cancel(2) == "Accepted"
    await b.shows("Reserved", "Available", port=2)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reservation_expires_by_itself(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(1, seconds=0.2)
    await b.shows("Reserved", "Available")
    assert b.charger.reservations == {}
    updates = [(u["reservationId"], u["reservationUpdateStatus"]) for u in b.calls("ReservationStatusUpdate")]
    assert updates == ([(1, "Expired")] if version == "2.0.1" else [])


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_fault_ends_the_reservation(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(1)
    await b.charger.fault(1)
    await b.shows("Reserved", "Faulted")
    await b.charger.recover(1)
    await b.shows("Faulted", "Available")
    assert await b.cancel(1) == "Rejected"
    if version == "2.0.1":
        await until(lambda: b.calls("ReservationStatusUpdate"))
        assert b.calls("ReservationStatusUpdate")[0]["reservationUpdateStatus"] == "Removed"
