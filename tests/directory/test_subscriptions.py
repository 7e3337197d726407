"""Which runs a charger's events are sent to, and who holds a port."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from directory import Directory, EventSubscription
from directory.connections import Connections
from directory.tables import live_reservations
from tests.directory.time_passes import age

CHARGER = 7


@pytest.fixture
def asked(now: datetime) -> EventSubscription:
    """A reservation of port 1, not yet accepted."""
    return EventSubscription(
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


async def accept(directory: Directory, reservation: EventSubscription) -> None:
    await directory.subscriptions.put(reservation)
    await directory.subscriptions.mark_accepted(reservation.workflow_id, reservation.first_run_id)


async def test_a_subscription_comes_back_as_it_was_put(
    directory: Directory, asked: EventSubscription
) -> None:
    await directory.subscriptions.put(asked)
    assert await directory.subscriptions.of_charger(CHARGER) == [asked]
    assert await directory.subscriptions.of_charger(CHARGER + 1) == []
    await directory.subscriptions.mark_accepted(asked.workflow_id, "run-1")
    assert await directory.subscriptions.of_charger(CHARGER) == [replace(asked, accepted=True)]


async def test_the_subscriptions_of_several_chargers_come_in_one_answer(
    directory: Directory, asked: EventSubscription
) -> None:
    other = replace(asked, workflow_id="reservation-8-1", charger_id=CHARGER + 1)
    await directory.subscriptions.put(asked)
    await directory.subscriptions.put(other)
    await directory.subscriptions.put(replace(asked, workflow_id="reservation-9-1", charger_id=CHARGER + 2))
    assert sorted(
        row.charger_id for row in await directory.subscriptions.of_chargers([CHARGER, CHARGER + 1])
    ) == [
        CHARGER,
        CHARGER + 1,
    ]
    assert await directory.subscriptions.of_chargers([]) == []


async def test_the_same_words_again_stay_accepted(directory: Directory, asked: EventSubscription) -> None:
    await accept(directory, asked)
    await directory.subscriptions.put(asked)
    assert await directory.subscriptions.of_charger(CHARGER) == [replace(asked, accepted=True)]


async def test_the_same_words_for_any_port_stay_accepted(
    directory: Directory, asked: EventSubscription
) -> None:
    any_port = replace(asked, port_number=None, parent_id_tag=None)
    await accept(directory, any_port)
    await directory.subscriptions.put(any_port)
    assert await directory.subscriptions.of_charger(CHARGER) == [replace(any_port, accepted=True)]


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
    directory: Directory, asked: EventSubscription, change: dict[str, object]
) -> None:
    await accept(directory, asked)
    changed = replace(asked, **change)  # type: ignore[arg-type]  # the fields above
    await directory.subscriptions.put(changed)
    assert await directory.subscriptions.of_charger(CHARGER) == [changed]


async def test_words_put_as_accepted_are_accepted(directory: Directory, asked: EventSubscription) -> None:
    await directory.subscriptions.put(asked)
    await directory.subscriptions.put(replace(asked, port_number=2, accepted=True))
    assert await directory.subscriptions.of_charger(CHARGER) == [replace(asked, port_number=2, accepted=True)]


async def test_an_older_run_cannot_touch_a_newer_one(directory: Directory, asked: EventSubscription) -> None:
    newer = replace(asked, first_run_id="run-2")
    await directory.subscriptions.put(asked)
    await directory.subscriptions.put(newer)
    await directory.subscriptions.mark_accepted(asked.workflow_id, "run-1")
    await directory.subscriptions.remove(asked.workflow_id, "run-1")
    assert await directory.subscriptions.of_charger(CHARGER) == [newer]
    await directory.subscriptions.remove(asked.workflow_id, "run-2")
    assert await directory.subscriptions.of_charger(CHARGER) == []


async def test_a_subscription_is_forgotten_24_hours_after_expiry(
    directory: Directory, connections: Connections, asked: EventSubscription, now: datetime
) -> None:
    lasting = replace(asked, workflow_id="reservation-7-2", expires_at=now - timedelta(hours=23))
    gone = replace(asked, workflow_id="reservation-7-3", expires_at=now - timedelta(hours=25))
    for reservation in (asked, lasting, gone):
        await directory.subscriptions.put(reservation)
    assert await directory.subscriptions.of_charger(CHARGER) == [lasting, asked]
    assert await directory.subscriptions.prune() == 1
    (count,) = await connections.query(sa.select(sa.func.count()).select_from(live_reservations))
    assert count[0] == 2


async def test_a_port_is_claimed_unless_another_accepted_and_unexpired_reservation_holds_it(
    directory: Directory, connections: Connections, asked: EventSubscription
) -> None:
    mine = replace(asked, workflow_id="mine")

    async def is_mine(**changes: Any) -> bool:
        claim = replace(mine, **changes)
        claimed = await directory.subscriptions.claim(claim)
        subscribed = await directory.subscriptions.of_charger(claim.charger_id)
        assert (claim in subscribed) == claimed
        await directory.subscriptions.remove("mine", mine.first_run_id)
        return claimed

    await directory.subscriptions.put(asked)
    assert await is_mine(), "not accepted yet"
    await directory.subscriptions.mark_accepted(asked.workflow_id, "run-1")
    assert not await is_mine()
    assert await is_mine(port_number=2)
    assert await is_mine(port_number=None), "the charger picks another port"
    assert await is_mine(charger_id=CHARGER + 1)
    assert await directory.subscriptions.claim(asked), "its own"
    await age(connections, live_reservations.c.expires_at, timedelta(hours=2))
    assert await is_mine(), "expired"


async def test_a_reservation_of_the_whole_charger_holds_no_particular_port(
    directory: Directory, asked: EventSubscription
) -> None:
    await accept(directory, replace(asked, port_number=None))
    assert await directory.subscriptions.claim(replace(asked, workflow_id="mine", port_number=1))
