"""Which runs a charger's events are sent to, and who holds a port."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from berth.database import Database, EventSubscription, NewEvent
from berth.database.connections import Connections
from berth.database.tables import live_reservations
from tests.database.time_passes import age

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


async def accept(database: Database, reservation: EventSubscription) -> None:
    await database.subscriptions.put(reservation)
    await database.subscriptions.mark_accepted(reservation)


async def test_a_subscription_comes_back_as_it_was_put(database: Database, asked: EventSubscription) -> None:
    await database.subscriptions.put(asked)
    assert await database.subscriptions.of_charger(CHARGER) == [asked]
    assert await database.subscriptions.of_charger(CHARGER + 1) == []
    await database.subscriptions.mark_accepted(asked)
    assert await database.subscriptions.of_charger(CHARGER) == [replace(asked, accepted=True)]


async def test_the_subscriptions_of_several_chargers_come_in_one_answer(
    database: Database, asked: EventSubscription
) -> None:
    other = replace(asked, workflow_id="reservation-8-1", charger_id=CHARGER + 1)
    await database.subscriptions.put(asked)
    await database.subscriptions.put(other)
    await database.subscriptions.put(replace(asked, workflow_id="reservation-9-1", charger_id=CHARGER + 2))
    assert sorted(
        row.charger_id for row in await database.subscriptions.of_chargers([CHARGER, CHARGER + 1])
    ) == [
        CHARGER,
        CHARGER + 1,
    ]
    assert await database.subscriptions.of_chargers([]) == []


async def test_the_same_words_again_stay_accepted(database: Database, asked: EventSubscription) -> None:
    await accept(database, asked)
    await database.subscriptions.put(asked)
    assert await database.subscriptions.of_charger(CHARGER) == [replace(asked, accepted=True)]


async def test_the_same_words_for_any_port_stay_accepted(
    database: Database, asked: EventSubscription
) -> None:
    any_port = replace(asked, port_number=None, parent_id_tag=None)
    await accept(database, any_port)
    await database.subscriptions.put(any_port)
    assert await database.subscriptions.of_charger(CHARGER) == [replace(any_port, accepted=True)]


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
    database: Database, asked: EventSubscription, change: dict[str, object]
) -> None:
    await accept(database, asked)
    changed = replace(asked, **change)  # type: ignore[arg-type]  # the fields above
    await database.subscriptions.put(changed)
    assert await database.subscriptions.of_charger(CHARGER) == [changed]


async def test_words_put_as_accepted_are_accepted(database: Database, asked: EventSubscription) -> None:
    await database.subscriptions.put(asked)
    await database.subscriptions.put(replace(asked, port_number=2, accepted=True))
    assert await database.subscriptions.of_charger(CHARGER) == [replace(asked, port_number=2, accepted=True)]


async def test_an_older_run_cannot_touch_a_newer_one(database: Database, asked: EventSubscription) -> None:
    newer = replace(asked, first_run_id="run-2")
    await database.subscriptions.put(asked)
    await database.subscriptions.put(newer)
    await database.subscriptions.mark_accepted(asked)
    await database.subscriptions.remove(asked.workflow_id, "run-1")
    assert await database.subscriptions.of_charger(CHARGER) == [newer]
    await database.subscriptions.remove(asked.workflow_id, "run-2")
    assert await database.subscriptions.of_charger(CHARGER) == []


async def test_a_subscription_is_forgotten_24_hours_after_expiry(
    database: Database, connections: Connections, asked: EventSubscription, now: datetime
) -> None:
    lasting = replace(asked, workflow_id="reservation-7-2", expires_at=now - timedelta(hours=23))
    gone = replace(asked, workflow_id="reservation-7-3", expires_at=now - timedelta(hours=25))
    for reservation in (asked, lasting, gone):
        await database.subscriptions.put(reservation)
    assert await database.subscriptions.of_charger(CHARGER) == [lasting, asked]
    assert await database.subscriptions.prune() == 1
    (count,) = await connections.query(sa.select(sa.func.count()).select_from(live_reservations))
    assert count[0] == 2


async def test_a_port_is_claimed_unless_another_accepted_and_unexpired_reservation_holds_it(
    database: Database, connections: Connections, asked: EventSubscription
) -> None:
    mine = replace(asked, workflow_id="mine")

    async def is_mine(**changes: Any) -> bool:
        claim = replace(mine, **changes)
        claimed = await database.subscriptions.claim(claim)
        subscribed = await database.subscriptions.of_charger(claim.charger_id)
        assert (claim in subscribed) == claimed
        await database.subscriptions.remove("mine", mine.first_run_id)
        return claimed

    await database.subscriptions.put(asked)
    assert await is_mine(), "not accepted yet"
    await database.subscriptions.mark_accepted(asked)
    assert not await is_mine()
    assert await is_mine(port_number=2)
    assert await is_mine(port_number=None), "the charger picks another port"
    assert await is_mine(charger_id=CHARGER + 1)
    assert await database.subscriptions.claim(asked), "its own"
    await age(connections, live_reservations.c.expires_at, timedelta(hours=2))
    assert await is_mine(), "expired"


async def test_a_reservation_of_the_whole_charger_holds_no_particular_port(
    database: Database, asked: EventSubscription
) -> None:
    await accept(database, replace(asked, port_number=None))
    assert await database.subscriptions.claim(replace(asked, workflow_id="mine", port_number=1))


async def test_a_held_port_is_anothers_accepted_and_unexpired_one(
    database: Database, connections: Connections, asked: EventSubscription
) -> None:
    is_held = database.subscriptions.is_held
    await database.subscriptions.put(asked)
    assert not await is_held(CHARGER, 1, "mine"), "not accepted yet"
    await database.subscriptions.mark_accepted(asked)
    assert await is_held(CHARGER, 1, "mine")
    assert not await is_held(CHARGER, 1, asked.workflow_id), "its own"
    assert not await is_held(CHARGER, 2, "mine")
    assert not await is_held(CHARGER + 1, 1, "mine")
    await age(connections, live_reservations.c.expires_at, timedelta(hours=2))
    assert not await is_held(CHARGER, 1, "mine"), "expired"


# --- what was asked, and when -------------------------------------------------------------------------


async def only(database: Database) -> EventSubscription:
    (one,) = await database.subscriptions.of_charger(CHARGER)
    return one


async def begin(database: Database, now: datetime, number: int = 1) -> int:
    return await database.transactions.start(CHARGER, 1, f"T{number}", now, 0)


async def test_waiting_for_a_charger_asks_it_for_nothing(
    database: Database, asked: EventSubscription
) -> None:
    await database.subscriptions.put(asked)
    one = await only(database)
    assert (one.generation, one.asked_at, one.transactions_before) == (0, None, None)
    assert (one.was_asked, one.known_generation) == (False, 0)


async def test_a_frame_is_dated_by_the_database_and_knows_the_transactions_before_it(
    database: Database, asked: EventSubscription, now: datetime
) -> None:
    assert await database.subscriptions.claim(replace(asked, generation=1))
    one = await only(database)
    assert (one.generation, one.transactions_before) == (1, 0)
    assert one.asked_at is not None
    assert abs(one.asked_at - now) < timedelta(minutes=1)
    assert (one.was_asked, one.known_generation) == (True, 1)


async def test_a_repeat_and_a_wait_keep_what_the_first_frame_of_a_generation_set(
    database: Database, asked: EventSubscription, now: datetime
) -> None:
    await database.subscriptions.claim(replace(asked, generation=2))
    first = await only(database)
    await begin(database, now)
    for generation in (2, 1, 0):
        await database.subscriptions.put(replace(asked, generation=generation))
        assert await only(database) == first


async def test_a_repeated_frame_counts_and_is_as_old_as_the_first_one(
    database: Database, asked: EventSubscription, now: datetime
) -> None:
    await database.subscriptions.claim(replace(asked, generation=1))
    first = await only(database)
    await begin(database, now)
    await database.subscriptions.claim(replace(asked, generation=2), is_repeat=True)
    assert await only(database) == replace(first, generation=2)


async def test_what_is_unsubscribed_late_leaves_a_later_use_of_the_number_alone(
    database: Database, asked: EventSubscription
) -> None:
    await database.subscriptions.claim(replace(asked, generation=3))
    this_run = (asked.workflow_id, asked.first_run_id)
    assert not await database.subscriptions.remove(*this_run, generation=2)
    assert (await only(database)).generation == 3
    assert await database.subscriptions.remove(*this_run, generation=3)
    assert await database.subscriptions.of_charger(asked.charger_id) == []


async def test_the_next_use_of_the_number_and_another_run_are_asked_anew(
    database: Database, connections: Connections, asked: EventSubscription, now: datetime
) -> None:
    await database.subscriptions.claim(replace(asked, generation=1))
    await age(connections, live_reservations.c.asked_at, timedelta(hours=1))
    first = await only(database)
    before = await begin(database, now)
    await database.subscriptions.claim(replace(asked, generation=2))
    second = await only(database)
    assert (second.generation, second.transactions_before) == (2, before)
    assert second.asked_at is not None
    assert first.asked_at is not None
    assert second.asked_at > first.asked_at
    later = await begin(database, now, 2)
    await database.subscriptions.claim(replace(asked, first_run_id="run-2", generation=1))
    third = await only(database)
    assert (third.generation, third.transactions_before) == (1, later)
    await database.subscriptions.put(replace(asked, first_run_id="run-3"))
    fourth = await only(database)
    assert (fourth.generation, fourth.asked_at, fourth.transactions_before) == (0, None, None)


async def test_an_accepted_row_of_a_release_that_does_not_count_was_asked_some_time(
    database: Database, asked: EventSubscription
) -> None:
    await accept(database, asked)
    one = await only(database)
    assert (one.was_asked, one.known_generation) == (True, None)


# --- the last step ------------------------------------------------------------------------------------


async def test_the_last_step_drops_the_runs_undelivered_events_and_no_others(
    database: Database, asked: EventSubscription
) -> None:
    another = "reservation-7-2"
    await database.subscriptions.put(asked)
    await database.events.store_many(
        [NewEvent(CHARGER, workflow, "port_status", "{}") for workflow in (asked.workflow_id, another)]
    )
    assert await database.events.is_waiting_for(CHARGER, asked.workflow_id)
    await database.subscriptions.remove(asked.workflow_id, "run-1")
    assert not await database.events.is_waiting_for(CHARGER, asked.workflow_id)
    assert [event.workflow_id for event in await database.events.next_of(CHARGER)] == [another]


async def test_the_last_step_of_an_older_run_leaves_the_newer_ones_events(
    database: Database, asked: EventSubscription
) -> None:
    await database.subscriptions.put(replace(asked, first_run_id="run-2"))
    await database.events.store(CHARGER, asked.workflow_id, "port_status", "{}")
    await database.subscriptions.remove(asked.workflow_id, "run-1")
    assert await database.events.is_waiting_for(CHARGER, asked.workflow_id)


# --- two accepted on one port -------------------------------------------------------------------------


def superseded(one: EventSubscription) -> NewEvent:
    return NewEvent(one.charger_id, one.workflow_id, "port_reserved_by_other", "{}")


async def test_the_charger_that_accepts_another_one_for_a_port_no_longer_holds_the_first(
    database: Database, asked: EventSubscription
) -> None:
    elsewhere = {
        "on another port": replace(asked, workflow_id="other port", port_number=2),
        "of any port": replace(asked, workflow_id="any port", port_number=None),
        "at another charger": replace(asked, workflow_id="other charger", charger_id=CHARGER + 1),
        "not accepted": replace(asked, workflow_id="asked only"),
    }
    for one in elsewhere.values():
        await database.subscriptions.put(one)
        if one.workflow_id != "asked only":
            await database.subscriptions.mark_accepted(one)
    await accept(database, asked)
    mine = replace(asked, workflow_id="mine")
    await database.subscriptions.put(mine)
    gone = await database.subscriptions.mark_accepted(mine, event_for=superseded)
    assert [one.workflow_id for one in gone] == [asked.workflow_id]
    accepted = {row.workflow_id for row in await database.subscriptions.of_charger(CHARGER) if row.accepted}
    assert accepted == {"mine", "other port", "any port"}
    (event,) = await database.events.next_of(CHARGER)
    assert (event.workflow_id, event.kind) == (asked.workflow_id, "port_reserved_by_other")
    assert await database.subscriptions.mark_accepted(mine, event_for=superseded) == []


async def test_an_expired_one_is_over_and_not_superseded(
    database: Database, connections: Connections, asked: EventSubscription
) -> None:
    await accept(database, asked)
    await age(connections, live_reservations.c.expires_at, timedelta(hours=2))
    mine = replace(asked, workflow_id="mine")
    await database.subscriptions.put(mine)
    assert await database.subscriptions.mark_accepted(mine, event_for=superseded) == []


async def test_a_run_that_was_replaced_meanwhile_supersedes_nobody(
    database: Database, asked: EventSubscription
) -> None:
    await accept(database, asked)
    mine = replace(asked, workflow_id="mine")
    await database.subscriptions.put(replace(mine, first_run_id="run-2"))
    assert await database.subscriptions.mark_accepted(mine, event_for=superseded) == []


async def test_a_yes_to_a_port_that_is_no_longer_asked_for_marks_nobody(
    database: Database, asked: EventSubscription
) -> None:
    await accept(database, asked)
    mine = replace(asked, workflow_id="mine")
    await database.subscriptions.put(mine)
    await database.subscriptions.put(replace(mine, port_number=2))
    assert await database.subscriptions.mark_accepted(mine, event_for=superseded) == []
    rows = await database.subscriptions.of_charger(CHARGER)
    assert [row.workflow_id for row in rows if row.accepted] == [asked.workflow_id]


async def test_of_several_marked_at_the_same_moment_one_holds_the_port(
    database: Database, other: Database, asked: EventSubscription
) -> None:
    names = [f"reservation-7-{number}" for number in range(1, 7)]
    for _ in range(5):
        for name in names:
            await database.subscriptions.put(replace(asked, workflow_id=name, id_tag=name))
        marked = await asyncio.gather(
            *(
                each.subscriptions.mark_accepted(
                    replace(asked, workflow_id=name, id_tag=name), event_for=superseded
                )
                for name, each in zip(names, [database, other] * 3, strict=True)
            )
        )
        rows = await database.subscriptions.of_charger(CHARGER)
        (holder,) = [row.workflow_id for row in rows if row.accepted]
        told = [one.workflow_id for gone in marked for one in gone]
        assert sorted([*told, holder]) == names
        stored = await database.events.next_of(CHARGER)
        assert all(one.id < two.id for one, two in pairwise(stored))
        assert sorted(event.workflow_id for event in stored) == sorted(told)
        for name in names:
            await database.subscriptions.remove(name, "run-1")
