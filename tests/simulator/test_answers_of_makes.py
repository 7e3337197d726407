"""Every make of charger answers ReserveNow and CancelReservation as it was seen to on the wire.

Each row is a situation, each cell what one make answers in it; makes without a cell were not observed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from simulator import ManualClock, load_personality, personality_names
from simulator.personality import Version
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.until import until


async def free(b: Bench) -> str:
    return await b.reserve(1)


async def reserved_under_another_id(b: Bench) -> str:
    await b.reserve(1, tag="TAG-A")
    return await b.reserve(2, tag="TAG-B")


async def another_port_for_the_same_tag(b: Bench) -> str:
    await b.reserve(1, tag="TAG-A")
    return await b.reserve(2, port=2, tag="TAG-A")


async def same_id_same_port(b: Bench) -> str:
    await b.reserve(1)
    return await b.reserve(1, tag="TAG-B")


async def same_id_other_port(b: Bench) -> str:
    await b.reserve(1)
    return await b.reserve(1, port=2)


async def charging(b: Bench) -> str:
    await b.charger.start_charging("TAG-X")
    return await b.reserve(1)


async def preparing(b: Bench) -> str:
    await b.charger.plug_in(1)
    return await b.reserve(1)


async def finishing(b: Bench) -> str:
    await b.charger.start_charging("TAG-X")
    await b.charger.stop_charging(1, unplug=False)
    return await b.reserve(1)


async def faulted(b: Bench) -> str:
    await b.charger.fault(1)
    return await b.reserve(1)


async def inoperative(b: Bench) -> str:
    assert await b.change_availability(1, operative=False) == "Accepted"
    return await b.reserve(1)


async def port_nine(b: Bench) -> str:
    return await b.reserve(1, port=9)


async def whole_charger(b: Bench) -> str:
    return await b.reserve(1, port=None)


async def second_whole_charger(b: Bench) -> str:
    await b.reserve(1, port=None, tag="TAG-A")
    return await b.reserve(2, port=None, tag="TAG-B")


async def plug_type_not_present(b: Bench) -> str:
    return await b.reserve(1, connectorType="cG105")


async def expiry_in_the_past(b: Bench) -> str:
    return await b.reserve(1, seconds=-30)


async def a_tag_the_central_system_blocks(b: Bench) -> str:
    b.central.blocked.add("TAG-A")
    return await b.reserve(1, tag="TAG-A")


async def cancel_of_an_unknown_id(b: Bench) -> str:
    return await b.cancel(77)


async def a_bad_date(b: Bench) -> str:
    key = "expiryDate" if b.charger.version == "1.6" else "expiryDateTime"
    date: dict[str, Any] = {key: "tomorrow"}
    return await b.reserve(1, **date)


async def a_missing_token(b: Bench) -> str:
    payload = b.reserve_payload(1)
    del payload["idTag" if b.charger.version == "1.6" else "idToken"]
    frame = await b.link.ask("ReserveNow", payload)
    return str(frame[2]["status"] if frame[0] == 3 else frame[2])


async def reservation_id_zero(b: Bench) -> str:
    return await b.reserve(0)


async def a_negative_reservation_id(b: Bench) -> str:
    return await b.reserve(-5)


Situation = Callable[[Bench], Awaitable[str]]

MAKES: dict[str, Version] = {
    "microocpp16": "1.6",
    "openocpp16": "1.6",
    "sap16": "1.6",
    "shiv3_16": "1.6",
    "shiv3_201": "2.0.1",
    "vcp16": "1.6",
    "vcp201": "2.0.1",
    "libocpp201": "2.0.1",
}
YES, BUSY, NO, GONE, BROKEN = "Accepted", "Occupied", "Rejected", "Unavailable", "Faulted"
PROPERTY, TYPE = "PropertyConstraintViolation", "TypeConstraintViolation"
FORMATION, OCCURRENCE = "FormationViolation", "OccurrenceConstraintViolation"

# microocpp16, openocpp16, sap16, shiv3_16, shiv3_201, vcp16, vcp201, libocpp201
ROWS: list[tuple[Situation, list[str | None]]] = [
    (free, [YES, YES, YES, YES, YES, YES, YES, YES]),
    (reserved_under_another_id, [BUSY, NO, YES, BUSY, BUSY, YES, YES, BUSY]),
    (another_port_for_the_same_tag, [YES, YES, BUSY, YES, YES, YES, YES, YES]),
    (same_id_same_port, [YES, YES, BUSY, NO, NO, YES, YES, YES]),
    (same_id_other_port, [YES, YES, BUSY, None, None, YES, YES, YES]),
    (charging, [BUSY, BUSY, BUSY, BUSY, BUSY, YES, YES, BUSY]),
    (preparing, [BUSY, BUSY, BUSY, YES, YES, None, None, None]),
    (finishing, [BUSY, BUSY, BUSY, None, None, None, None, None]),
    (faulted, [None, BROKEN, BROKEN, BROKEN, BROKEN, YES, YES, BROKEN]),
    (inoperative, [GONE, GONE, NO, GONE, GONE, YES, YES, None]),
    (port_nine, [PROPERTY, PROPERTY, NO, NO, NO, None, None, NO]),
    (whole_charger, [YES, YES, YES, NO, YES, YES, YES, YES]),
    (second_whole_charger, [None, None, BUSY, None, BUSY, YES, YES, None]),
    (plug_type_not_present, [None, None, None, None, YES, None, YES, NO]),
    (expiry_in_the_past, [YES, YES, YES, NO, NO, None, None, None]),
    (a_tag_the_central_system_blocks, [YES, YES, NO, YES, YES, YES, YES, YES]),
    (cancel_of_an_unknown_id, [NO, NO, NO, NO, NO, YES, None, NO]),
    (a_bad_date, [PROPERTY, TYPE, PROPERTY, YES, YES, None, None, FORMATION]),
    (a_missing_token, [FORMATION, None, OCCURRENCE, NO, FORMATION, None, None, FORMATION]),
    (reservation_id_zero, [YES, YES, YES, YES, YES, None, None, None]),
    (a_negative_reservation_id, [YES, None, None, None, None, None, None, None]),
]
CELLS = [
    pytest.param(situation, make, answer, id=f"{situation.__name__}-{make}")
    for situation, answers in ROWS
    for make, answer in zip(MAKES, answers, strict=True)
    if answer is not None
]


@pytest.mark.parametrize(("situation", "make", "answer"), CELLS)
async def test_a_make_answers_as_observed(
    bench: BenchMaker, situation: Situation, make: str, answer: str
) -> None:
    b = await bench(version=MAKES[make], personality=make)
    assert await situation(b) == answer


async def test_the_whole_charger_becomes_port_1_silently_at_shiv3(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1", personality="shiv3_201")
    assert await b.reserve(1, port=None) == "Accepted"
    await b.shows("Reserved", port=1)


async def test_open_ocpp_holds_one_id_twice(bench: BenchMaker) -> None:
    b = await bench(personality="openocpp16")
    await b.reserve(1, port=1)
    await b.reserve(1, port=2)
    await b.shows("Reserved", port=1)
    await b.shows("Reserved", port=2)
    assert [await b.cancel(1), await b.cancel(1), await b.cancel(1)] == ["Accepted", "Accepted", "Rejected"]


async def test_micro_ocpp_moves_a_reservation(bench: BenchMaker) -> None:
    b = await bench(personality="microocpp16")
    await b.reserve(1, port=1)
    await b.reserve(1, port=2)
    await b.shows("Reserved", "Available", port=1)
    await b.shows("Reserved", port=2)


async def test_sap_overwrites_the_reservation_of_another(bench: BenchMaker) -> None:
    b = await bench(personality="sap16")
    await b.reserve(1, tag="TAG-A")
    await b.reserve(2, tag="TAG-B")
    assert list(b.charger.reservations) == [2]


async def test_vcp_accepts_and_holds_nothing(bench: BenchMaker) -> None:
    b = await bench(personality="vcp16")
    await b.reserve(1)
    assert await b.cancel(1) == await b.cancel(1) == "Accepted"
    assert b.charger.reservations == {}
    assert "Reserved" not in b.statuses(1)


async def test_vcp_201_dies_of_cancel_reservation(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1", personality="vcp201")
    task = asyncio.create_task(b.cancel(1))
    await until(lambda: not b.charger.connected)
    task.cancel()
    await b.charger.reboot()
    await until(lambda: b.central.connections == 2)


async def test_an_expiry_in_the_past_is_held_by_nobody_or_for_ever(bench: BenchMaker) -> None:
    micro = await bench("C1", personality="microocpp16")
    await micro.reserve(1, seconds=-30)
    assert micro.charger.reservations == {}
    assert await micro.cancel(1) == "Rejected"
    clock = ManualClock()
    opened = await bench("C2", personality="openocpp16", clock=clock)
    clock.advance(3)
    await opened.reserve(1, seconds=-30)
    await opened.shows("Reserved")
    clock.advance(7)
    opened.charger.tick()
    await opened.shows("Reserved", "Available")
    sap = await bench("C3", personality="sap16", clock=clock)
    await sap.reserve(1, seconds=-30)
    clock.advance(3600)
    sap.charger.tick()
    assert await sap.cancel(1) == "Accepted"


async def test_libocpp_says_why_it_rejects(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1", personality="libocpp201")
    frame = await b.link.ask("ReserveNow", b.reserve_payload(port=9))
    assert frame[2]["statusInfo"]["reasonCode"] == ""


async def test_sap_dumps_its_schema_into_the_details(bench: BenchMaker) -> None:
    b = await bench(personality="sap16")
    frame = await b.link.ask("ReserveNow", b.reserve_payload(expiryDate="tomorrow"))
    assert isinstance(frame[4], str)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_charger_without_reservations_says_so(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version, personality="no-reservations")
    assert await b.reserve(1) == await b.cancel(1) == "NotImplemented"
    if version == "1.6":
        answer = await b.link.call("GetConfiguration", {"key": ["SupportedFeatureProfiles"]})
        assert "Reservation" not in answer["configurationKey"][0]["value"]
    else:
        asked = {"component": {"name": "ReservationCtrlr"}, "variable": {"name": "Enabled"}}
        answer = await b.link.call("GetVariables", {"getVariableData": [asked]})
        assert answer["getVariableResult"][0]["attributeStatus"] == "UnknownComponent"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_switched_off_reservations_are_rejected(bench: BenchMaker, version: str) -> None:
    switched_off = load_personality().model_copy(update={"reservations": "Rejected"})
    b = await bench(version=version, personality=switched_off)
    assert await b.reserve(1) == await b.cancel(1) == "Rejected"


@pytest.mark.parametrize("make", ["microocpp16", "openocpp16"])
async def test_two_makes_take_an_offset_for_utc(bench: BenchMaker, make: str) -> None:
    clock = ManualClock()
    b = await bench(personality=make, clock=clock)
    await b.reserve(1, expiryDate="2026-01-01T02:00:08+02:00")
    clock.advance(20)
    b.charger.tick()
    assert 1 in b.charger.reservations


async def test_the_specification_reads_an_offset(bench: BenchMaker) -> None:
    clock = ManualClock()
    b = await bench(clock=clock)
    await b.reserve(1, expiryDate="2026-01-01T02:00:08+02:00")
    clock.advance(20)
    b.charger.tick()
    assert b.charger.reservations == {}


def test_every_personality_is_valid_and_described() -> None:
    for name in personality_names():
        assert load_personality(name).description


def test_an_unknown_personality_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="specification"):
        load_personality("nonsense")


async def test_a_personality_speaks_its_versions_only(bench: BenchMaker) -> None:
    options: dict[str, Any] = {"version": "2.0.1", "personality": "sap16"}
    with pytest.raises(ValueError, match="does not speak"):
        await bench(**options)
