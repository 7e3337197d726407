"""Who used the reservation: by id, by token, by group; and what is no use at all."""

from datetime import timedelta
from typing import Any

import pytest

from tests.workflows.world import UNKNOWN_ID, World
from workflows.messages import (
    CancelStatus,
    PortStatusChanged,
    ReservationState,
    Terms,
    TransactionEnded,
    TransactionStarted,
)


async def charge(world: World, transaction_id: str = "17", **details: Any) -> None:
    details.setdefault("port_number", 1)
    await world.tell(
        "transaction_started",
        TransactionStarted(at=await world.now(), transaction_id=transaction_id, **details),
    )


@pytest.mark.parametrize(
    ("details", "why"),
    [
        ({"reservation_id": 7, "id_tag": "RFID-1"}, "our id"),
        ({"reservation_id": 7, "id_tag": "STRANGER"}, "our id, a foreign token"),
        ({"reservation_id": 7}, "our id, no token"),
        ({"id_tag": "rfid-1"}, "the token in other letters"),
        ({"reservation_id": 0, "id_tag": "RFID-1"}, "the token; 0 proves nothing"),
        ({"reservation_id": -1, "id_tag": "RFID-1"}, "the token; -1 proves nothing"),
        ({"id_tag": "FAMILY-CAR", "parent_id_tag": "family", "reservation_id": 7}, "the group, our id"),
    ],
)
async def test_a_transaction_uses_the_reservation(world: World, details: dict[str, Any], why: str) -> None:
    terms = world.terms().model_copy(update={"parent_id_tag": "FAMILY"})
    await world.reserve(terms)
    await charge(world, **details)
    ended = await world.handle.result()
    assert (ended.state, ended.transaction_id) == (ReservationState.USED, "17"), why
    assert ("foreign" in (ended.evidence or "")) == (details.get("id_tag") == "STRANGER")
    assert not world.charger.listeners


@pytest.mark.parametrize(
    ("details", "violations"),
    [
        ({"id_tag": "STRANGER"}, 1),
        ({"id_tag": "STRANGER", "reservation_id": 0}, 1),
        ({"id_tag": "STRANGER", "reservation_id": -1}, 1),
        ({"id_tag": "RFID-1", "port_number": 2}, 0),
        ({"id_tag": "RFID-1", "reservation_id": 8}, 0),
        ({}, 0),
    ],
)
async def test_a_transaction_that_is_no_use_leaves_the_reservation(
    world: World, details: dict[str, Any], violations: int
) -> None:
    await world.reserve()
    await charge(world, **details)
    await charge(world, **details)  # chargers repeat themselves
    snapshot = await world.snapshot()
    assert (snapshot.state, snapshot.violations) == (ReservationState.ACTIVE, violations)


async def test_a_whole_charger_reservation_is_used_at_any_port(world: World) -> None:
    await world.reserve(world.terms(port=None))
    await charge(world, id_tag="STRANGER", port_number=1)
    assert (await world.snapshot()).violations == 0
    await charge(world, id_tag="RFID-1", port_number=2)
    assert (await world.snapshot()).state == ReservationState.USED


async def test_after_a_stranger_charged_and_left_the_port_is_reserved_again(world: World) -> None:
    world.charger.protocol = "ocpp2.0.1"
    await world.reserve()
    await charge(world, "99", id_tag="STRANGER")
    await world.tell("transaction_ended", TransactionEnded(at=await world.now(), transaction_id="99"))
    await world.skip(seconds=70)
    snapshot = await world.until(lambda s: len(world.charger.frames) == 2)
    assert snapshot.state == ReservationState.ACTIVE
    assert world.charger.frames == ["ReserveNow", "ReserveNow"]


async def test_a_transaction_of_an_earlier_time_proves_nothing(world: World) -> None:
    await world.reserve()
    await charge(world, id_tag="RFID-1", started_at=world.opened_at - timedelta(hours=2), offline=True)
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_a_use_while_a_cancel_waits_for_the_charger_wins(world: World) -> None:
    await world.reserve()
    world.go_offline()
    pending = await world.cancel()
    assert (pending.status, pending.reason) == ("Pending", "ChargerOffline")
    await charge(world, reservation_id=7, id_tag="RFID-1")
    assert (await world.handle.result()).state == ReservationState.USED


async def test_a_transaction_after_a_refused_cancel_is_a_use(world: World) -> None:
    await world.reserve()
    world.charger.cancel_answers.append(UNKNOWN_ID)
    assert (await world.cancel()).status == CancelStatus.REJECTED
    await charge(world, id_tag="RFID-1")
    assert (await world.handle.result()).state == ReservationState.USED


async def test_the_same_event_delivered_twice_changes_nothing_twice(world: World) -> None:
    await world.reserve()
    stored = TransactionStarted(
        at=await world.now(), event_id=5, transaction_id="1", port_number=1, id_tag="STRANGER"
    )
    await world.tell("transaction_started", stored)
    await world.tell(
        "transaction_ended", TransactionEnded(at=await world.now(), event_id=6, transaction_id="1")
    )
    await world.tell("transaction_started", stored)
    assert (await world.snapshot()).violations == 1


async def test_an_event_for_another_run_is_not_heard(world: World) -> None:
    await world.reserve()
    await world.tell(
        "transaction_started",
        TransactionStarted(
            at=await world.now(), first_run_id="another", transaction_id="1", port_number=1, id_tag="RFID-1"
        ),
    )
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_a_status_before_our_first_frame_proves_nothing(world: World) -> None:
    await world.reserve()
    await world.tell(
        "port_status",
        PortStatusChanged(at=world.opened_at - timedelta(minutes=5), port_number=1, status="Faulted"),
    )
    await world.skip(minutes=5)
    assert (await world.snapshot()).state == ReservationState.ACTIVE


def test_terms_compare_by_value() -> None:
    moment = "2026-11-23T10:00:00Z"
    one = Terms.model_validate({"port_id": 1, "port_number": 1, "expires_at": moment, "id_tag": "A"})
    other = Terms.model_validate({"port_id": 1, "port_number": 1, "expires_at": moment, "id_tag": "A"})
    assert one == other
