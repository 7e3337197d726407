"""Boots, outages and sockets that come and go: what was known before them is not believed after."""

import pytest

from tests.core.situations import ACCEPTED, NEWER_ROUTE, NOW, ROUTE, Reserving
from workflows.messages import ChargerBooted, ChargerConnected, PortStatusChanged, Route
from workflows.reservation.record import CheckReason
from workflows.reservation.steps import Look, SendReserveNow


def active() -> Reserving:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    return reserving


def shows(reserving: Reserving, before: str, status: str, epoch: int) -> None:
    reserving.tell(PortStatusChanged(at=NOW, port_number=1, before=before, status=status, epoch=epoch))


def test_a_charger_that_boots_and_says_nothing_of_its_port_is_asked() -> None:
    reserving = active()
    shows(reserving, "Available", "Reserved", epoch=3)
    reserving.tell(ChargerConnected(at=NOW, route=NEWER_ROUTE, epoch=4), ChargerBooted(at=NOW, epoch=4))
    reserving.skip(seconds=61)
    reserving.look(route=NEWER_ROUTE, status="Reserved")  # as it was before the boot
    assert isinstance(reserving.step, SendReserveNow)


def test_a_charger_that_shows_reserved_after_its_boot_is_believed() -> None:
    reserving = active()
    reserving.tell(ChargerBooted(at=NOW, epoch=3))
    shows(reserving, "Reserved", "Reserved", epoch=3)
    reserving.skip(seconds=61)
    reserving.look(status="Reserved")
    assert reserving.machine.record.check is None
    assert not isinstance(reserving.step, SendReserveNow)


def test_available_after_an_outage_is_no_card_that_was_shown() -> None:
    reserving = active()
    shows(reserving, "Available", "Reserved", epoch=3)
    shows(reserving, "Reserved", "Available", epoch=4)  # before the charger is ready on its new socket
    reserving.tell(ChargerConnected(at=NOW, route=NEWER_ROUTE, epoch=4))
    reserving.skip(seconds=61)
    reserving.look(route=NEWER_ROUTE, status="Available", protocol="ocpp2.0.1")
    assert isinstance(reserving.step, SendReserveNow)
    assert reserving.state == "active"


@pytest.mark.parametrize("before", ["let go", "recovered", "restarted"])
def test_what_was_to_be_asked_before_an_outage_is_asked_after_it(before: str) -> None:
    reserving = active()
    shows(reserving, "Available", "Reserved", epoch=3)
    if before == "restarted":
        reserving.tell(ChargerBooted(at=NOW, epoch=3))
    else:
        if before == "recovered":
            shows(reserving, "Reserved", "Faulted", epoch=3)
        shows(reserving, "Reserved", "Available", epoch=3)
    reserving.tell(ChargerConnected(at=NOW, route=NEWER_ROUTE, epoch=4))
    reserving.skip(seconds=61)
    reserving.look(route=NEWER_ROUTE, status="Available")  # as it was before the outage
    assert isinstance(reserving.step, SendReserveNow)


def test_a_charger_that_was_away_and_reports_nothing_has_nothing_to_report() -> None:
    reserving = active()
    reserving.tell(ChargerConnected(at=NOW, route=NEWER_ROUTE, epoch=4))
    reserving.skip(seconds=61)
    reserving.look(route=NEWER_ROUTE, status="Reserved")
    assert reserving.machine.record.check is None
    assert not isinstance(reserving.step, SendReserveNow)


def test_a_boot_clears_a_fault_that_was_seen_before_it() -> None:
    reserving = active()
    shows(reserving, "Reserved", "Faulted", epoch=3)
    reserving.tell(ChargerBooted(at=NOW, epoch=3))
    check = reserving.machine.record.check
    assert check is not None
    assert check.reason is CheckReason.RESTARTED
    reserving.skip(seconds=61)
    reserving.look(status="Faulted")
    assert isinstance(reserving.step, SendReserveNow), "the charger decides, not what it showed before"


def test_a_status_of_an_earlier_socket_says_nothing_of_the_present_one() -> None:
    reserving = active()
    reserving.tell(ChargerConnected(at=NOW, route=NEWER_ROUTE, epoch=4))
    shows(reserving, "Available", "Reserved", epoch=3)
    assert reserving.machine.record.is_status_stale


@pytest.mark.parametrize("every", [5, 20, 50])
def test_a_charger_that_reconnects_faster_than_the_settle_time_is_looked_at_all_the_same(every: int) -> None:
    reserving = active()
    epoch, waited = ROUTE.epoch, 0
    while waited <= 121:
        epoch += 1
        shows(reserving, "Reserved", "Available", epoch)
        reserving.tell(ChargerConnected(at=NOW, route=Route(queue="gateway-b", epoch=epoch), epoch=epoch))
        if isinstance(reserving.step, Look):
            break
        reserving.skip(seconds=every)
        waited += every
    assert isinstance(reserving.step, Look)
    reserving.look(route=Route(queue="gateway-b", epoch=epoch), status="Available", ready_for=0)
    assert isinstance(reserving.step, SendReserveNow)


def test_a_port_that_faults_and_recovers_all_the_time_is_asked_in_the_end() -> None:
    reserving = active()
    for _ in range(7):
        shows(reserving, "Reserved", "Faulted", epoch=3)
        reserving.skip(seconds=10)
        shows(reserving, "Faulted", "Reserved", epoch=3)
        reserving.skip(seconds=10)
    assert isinstance(reserving.step, Look)
    reserving.look(status="Reserved")
    assert isinstance(reserving.step, SendReserveNow)


def test_after_a_long_outage_the_charger_gets_its_settle_time() -> None:
    reserving = active()
    reserving.tell(ChargerBooted(at=NOW, epoch=3))
    reserving.skip(seconds=61)
    reserving.look(route=None)
    reserving.skip(minutes=20)
    reserving.tell(ChargerConnected(at=reserving.now, route=NEWER_ROUTE, epoch=4))
    assert not isinstance(reserving.step, Look)
    reserving.skip(seconds=61)
    assert isinstance(reserving.step, Look)
