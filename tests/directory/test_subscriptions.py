"""Who listens to a charger's events, and who holds a port."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from directory import Directory, LiveReservation
from directory.connections import Connections
from directory.tables import live_reservations
from tests.directory.time_passes import age

CHARGER = 7


@pytest.fixture
def asked(now: datetime) -> LiveReservation:
    """A reservation of port 1, not yet accepted."""
    return LiveReservation(
        workflow_id="reservation-7-1",
        first_run_id="run-1",
        charger_id=CHARGER,
        reservation_id=1,
        port_number=1,
        id_tag="Tag",
        parent_id_tag="Fleet",
        accepted=False,
        expires_at=now + timedelta(hours=1),
    )


async def accept(directory: Directory, reservation: LiveReservation) -> None:
    await directory.live.put(reservation)
    await directory.live.mark_accepted(reservation.workflow_id, reservation.first_run_id)


async def test_a_listener_comes_back_as_it_was_put(directory: Directory, asked: LiveReservation) -> None:
    await directory.live.put(asked)
    assert await directory.live.of_charger(CHARGER) == [asked]
    assert await directory.live.of_charger(CHARGER + 1) == []
    await directory.live.mark_accepted(asked.workflow_id, "run-1")
    assert await directory.live.of_charger(CHARGER) == [replace(asked, accepted=True)]


async def test_the_listeners_of_several_chargers_come_in_one_answer(
    directory: Directory, asked: LiveReservation
) -> None:
    other = replace(asked, workflow_id="reservation-8-1", charger_id=CHARGER + 1)
    await directory.live.put(asked)
    await directory.live.put(other)
    await directory.live.put(replace(asked, workflow_id="reservation-9-1", charger_id=CHARGER + 2))
    assert sorted(row.charger_id for row in await directory.live.of_chargers([CHARGER, CHARGER + 1])) == [
        CHARGER,
        CHARGER + 1,
    ]
    assert await directory.live.of_chargers([]) == []


async def test_the_same_words_again_stay_accepted(directory: Directory, asked: LiveReservation) -> None:
    await accept(directory, asked)
    await directory.live.put(asked)
    assert await directory.live.of_charger(CHARGER) == [replace(asked, accepted=True)]


async def test_the_same_words_for_any_port_stay_accepted(
    directory: Directory, asked: LiveReservation
) -> None:
    any_port = replace(asked, port_number=None, parent_id_tag=None)
    await accept(directory, any_port)
    await directory.live.put(any_port)
    assert await directory.live.of_charger(CHARGER) == [replace(any_port, accepted=True)]


@pytest.mark.parametrize(
    "change",
    [
        {"first_run_id": "run-2"},
        {"port_number": 2},
        {"port_number": None},
        {"id_tag": "Other"},
        {"parent_id_tag": None},
        {"expires_at": datetime.fromisoformat("2099-01-01T00:00:00Z")},
    ],
)
async def test_other_words_need_a_new_yes(
    directory: Directory, asked: LiveReservation, change: dict[str, object]
) -> None:
    await accept(directory, asked)
    changed = replace(asked, **change)  # type: ignore[arg-type]  # the fields above
    await directory.live.put(changed)
    assert await directory.live.of_charger(CHARGER) == [changed]


async def test_words_put_as_accepted_are_accepted(directory: Directory, asked: LiveReservation) -> None:
    await directory.live.put(asked)
    await directory.live.put(replace(asked, port_number=2, accepted=True))
    assert await directory.live.of_charger(CHARGER) == [replace(asked, port_number=2, accepted=True)]


async def test_an_older_run_cannot_touch_a_newer_one(directory: Directory, asked: LiveReservation) -> None:
    newer = replace(asked, first_run_id="run-2")
    await directory.live.put(asked)
    await directory.live.put(newer)
    await directory.live.mark_accepted(asked.workflow_id, "run-1")
    await directory.live.remove(asked.workflow_id, "run-1")
    assert await directory.live.of_charger(CHARGER) == [newer]
    await directory.live.remove(asked.workflow_id, "run-2")
    assert await directory.live.of_charger(CHARGER) == []


async def test_a_listener_is_forgotten_24_hours_after_expiry(
    directory: Directory, connections: Connections, asked: LiveReservation, now: datetime
) -> None:
    lasting = replace(asked, workflow_id="reservation-7-2", expires_at=now - timedelta(hours=23))
    gone = replace(asked, workflow_id="reservation-7-3", expires_at=now - timedelta(hours=25))
    for reservation in (asked, lasting, gone):
        await directory.live.put(reservation)
    assert await directory.live.of_charger(CHARGER) == [lasting, asked]
    assert await directory.live.prune() == 1
    (count,) = await connections.query(sa.select(sa.func.count()).select_from(live_reservations))
    assert count[0] == 2


async def test_a_port_is_claimed_unless_another_accepted_and_unexpired_reservation_holds_it(
    directory: Directory, connections: Connections, asked: LiveReservation
) -> None:
    mine = replace(asked, workflow_id="mine")

    async def is_mine(**changes: Any) -> bool:
        claim = replace(mine, **changes)
        claimed = await directory.live.claim(claim)
        listening = await directory.live.of_charger(claim.charger_id)
        assert (claim in listening) == claimed
        await directory.live.remove("mine", mine.first_run_id)
        return claimed

    await directory.live.put(asked)
    assert await is_mine(), "not accepted yet"
    await directory.live.mark_accepted(asked.workflow_id, "run-1")
    assert not await is_mine()
    assert await is_mine(port_number=2)
    assert await is_mine(port_number=None), "the charger picks another port"
    assert await is_mine(charger_id=CHARGER + 1)
    assert await directory.live.claim(asked), "its own"
    await age(connections, live_reservations.c.expires_at, timedelta(hours=2))
    assert await is_mine(), "expired"


async def test_a_reservation_of_the_whole_charger_holds_no_particular_port(
    directory: Directory, asked: LiveReservation
) -> None:
    await accept(directory, replace(asked, port_number=None))
    assert await directory.live.claim(replace(asked, workflow_id="mine", port_number=1))
