"""Charging sessions: one id for one session, however often it is reported."""

from datetime import datetime, timedelta

import pytest

from berth.database import Database, NewEvent, ReportedStart

CHARGER = 7


async def test_a_repeated_start_of_1_6_gives_the_same_id(database: Database, now: datetime) -> None:
    start = database.transactions.start
    first = await start(CHARGER, 1, "Tag", now, 100)
    assert first > 0
    assert await start(CHARGER, 1, "Tag", now, 100) == first
    others = [
        await start(CHARGER + 1, 1, "Tag", now, 100),
        await start(CHARGER, 2, "Tag", now, 100),
        await start(CHARGER, 1, "Other", now, 100),
        await start(CHARGER, 1, "Tag", now + timedelta(seconds=1), 100),
        await start(CHARGER, 1, "Tag", now, 101),
    ]
    assert len({first, *others}) == 6


async def test_a_transaction_of_2_0_1_is_known_by_its_own_id(database: Database, now: datetime) -> None:
    start = database.transactions.start
    first = await start(CHARGER, 1, None, now, None, ocpp_transaction_id="tx-1")
    later = now + timedelta(minutes=1)
    again = await start(CHARGER, 1, "Tag", later, 5, reservation_id=3, ocpp_transaction_id="tx-1")
    assert again == first
    current = (await database.transactions.current(CHARGER))[1]
    assert (current.started_at, current.ocpp_transaction_id) == (now, "tx-1")
    assert (current.id_tag, current.meter_start, current.reservation_id) == ("Tag", 5, 3), "added later"
    assert await start(CHARGER + 1, 1, None, now, None, ocpp_transaction_id="tx-1") != first


async def test_the_sessions_of_several_chargers_come_in_one_answer(database: Database, now: datetime) -> None:
    for charger_id in (CHARGER, CHARGER + 1, CHARGER + 2):
        await database.transactions.start(charger_id, 1, "Tag", now, 0)
    found = await database.transactions.current_of([CHARGER, CHARGER + 1])
    assert sorted(found) == [(CHARGER, 1), (CHARGER + 1, 1)]
    assert found[CHARGER + 1, 1].charger_id == CHARGER + 1


async def test_a_session_is_current_until_it_ends(database: Database, now: datetime) -> None:
    first = await database.transactions.start(CHARGER, 1, "A", now, 0, reservation_id=9)
    second = await database.transactions.start(CHARGER, 2, "B", now, 0, ocpp_transaction_id="tx-2")
    current = await database.transactions.current(CHARGER)
    assert {number: found.id for number, found in current.items()} == {1: first, 2: second}
    assert (current[1].id_tag, current[1].started_at, current[1].reservation_id) == ("A", now, 9)

    later = now + timedelta(hours=1)
    ended = await database.transactions.end(
        CHARGER, transaction_id=first, ended_at=later, meter_stop=1500, reason="Local"
    )
    assert ended is not None
    assert (ended.id, ended.port_number, ended.ended_at) == (first, 1, later)
    assert (ended.meter_stop, ended.reason) == (1500, "Local")
    assert list(await database.transactions.current(CHARGER)) == [2]
    ended = await database.transactions.end(CHARGER, ocpp_transaction_id="tx-2", ended_at=later)
    assert ended is not None
    assert ended.id == second
    assert await database.transactions.current(CHARGER) == {}


async def test_a_repeated_end_changes_nothing(database: Database, now: datetime) -> None:
    transaction_id = await database.transactions.start(CHARGER, 1, "A", now, 0)
    end = database.transactions.end
    first = await end(CHARGER, transaction_id=transaction_id, ended_at=now, meter_stop=5, reason="Local")
    later = now + timedelta(hours=1)
    assert await end(CHARGER, transaction_id=transaction_id, ended_at=later, meter_stop=9) == first


async def test_the_end_of_an_unknown_session_is_none(database: Database, now: datetime) -> None:
    transaction_id = await database.transactions.start(CHARGER, 1, "A", now, 0)
    end = database.transactions.end
    assert await end(CHARGER, transaction_id=transaction_id + 1, ended_at=now) is None
    assert await end(CHARGER + 1, transaction_id=transaction_id, ended_at=now) is None, "another charger's"
    assert await end(CHARGER, ocpp_transaction_id="tx", ended_at=now) is None
    assert list(await database.transactions.current(CHARGER)) == [1]


async def test_a_newer_session_on_the_port_ends_the_wait_for_a_lost_end(
    database: Database, now: datetime
) -> None:
    later = now + timedelta(hours=1)
    await database.transactions.start(CHARGER, 1, "A", now, 0)
    second = await database.transactions.start(CHARGER, 1, "B", later, 0)
    assert (await database.transactions.current(CHARGER))[1].id == second
    await database.transactions.end(CHARGER, transaction_id=second, ended_at=later)
    assert await database.transactions.current(CHARGER) == {}


async def test_a_session_of_2_0_1_is_found_by_its_own_id_also_when_it_ended(
    database: Database, now: datetime
) -> None:
    find = database.transactions.of_charger_by_own_id
    assert await find(CHARGER, "tx-1") is None
    first = await database.transactions.start(CHARGER, 1, "A", now, 0, ocpp_transaction_id="tx-1")
    await database.transactions.end(CHARGER, ocpp_transaction_id="tx-1", ended_at=now)
    found = await find(CHARGER, "tx-1")
    assert found is not None
    assert (found.id, found.ended_at) == (first, now)
    assert await find(CHARGER + 1, "tx-1") is None


async def test_0_and_minus_1_give_way_to_a_reservations_number(database: Database, now: datetime) -> None:
    for number in (-1, 7, 0, 8):
        await database.transactions.start(CHARGER, 1, "A", now, 0, number, "tx-1")
    found = await database.transactions.of_charger_by_own_id(CHARGER, "tx-1")
    assert found is not None
    assert found.reservation_id == 7


# --- what is made of a start --------------------------------------------------------------------------


class Reporter:
    """Reports sessions, attributes each as it is told, and keeps what it learned by that."""

    def __init__(self, database: Database, now: datetime) -> None:
        self._start = database.transactions.start
        self._now = now
        self.seen: list[ReportedStart] = []

    async def report(
        self,
        name: str,
        attribute_to: str | None = None,
        rivals: dict[str, int] | None = None,
        id_tag: str | None = "Tag",
        reservation_id: int | None = None,
    ) -> ReportedStart:
        def tell(reported: ReportedStart) -> tuple[str | None, list[NewEvent]]:
            self.seen.append(reported)
            attributed_to = attribute_to or reported.attributed_to
            return attributed_to, [NewEvent(CHARGER, str(attributed_to), "transaction_started", f'"{name}"')]

        transaction_id = await self._start(
            CHARGER, 1, id_tag, self._now, None, reservation_id, name, rivals=rivals, events_for=tell
        )
        assert self.seen[-1].transaction_id == transaction_id
        return self.seen[-1]


async def test_a_start_is_kept_with_its_events_and_who_it_is_attributed_to(
    database: Database, now: datetime
) -> None:
    reporter = Reporter(database, now)
    first = await reporter.report("tx-1", "w-1")
    assert (first.attributed_to, first.is_addition) == (None, False)
    assert abs(first.at - now) < timedelta(minutes=1)
    again = await reporter.report("tx-1")
    assert (again.transaction_id, again.attributed_to) == (first.transaction_id, "w-1")
    assert [event.workflow_id for event in await database.events.next_of(CHARGER)] == ["w-1", "w-1"]
    found = await database.transactions.of_charger_by_own_id(CHARGER, "tx-1")
    assert found is not None
    assert found.attributed_to == "w-1"


async def test_a_start_whose_events_cannot_be_made_is_not_kept(database: Database, now: datetime) -> None:
    def fail(reported: ReportedStart) -> tuple[str | None, list[NewEvent]]:
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        await database.transactions.start(CHARGER, 1, "Tag", now, 0, events_for=fail)
    assert await database.transactions.current(CHARGER) == {}


async def test_a_token_or_a_number_that_comes_later_is_an_addition(database: Database, now: datetime) -> None:
    reporter = Reporter(database, now)
    for id_tag, number in ((None, None), (None, None), ("Tag", None), ("Tag", 0), ("Tag", 7), ("Tag", 7)):
        await reporter.report("tx-1", id_tag=id_tag, reservation_id=number)
    assert [seen.is_addition for seen in reporter.seen] == [False, False, True, False, True, False]


async def test_rivals_are_taken_when_a_later_session_than_their_own_was_attributed_to_them(
    database: Database, now: datetime
) -> None:
    reporter = Reporter(database, now)
    first = (await reporter.report("tx-1", "w-1")).transaction_id
    assert (await reporter.report("tx-2", rivals={"w-1": 0, "w-2": 0})).taken == {"w-1"}
    assert (await reporter.report("tx-3", rivals={"w-1": first, "w-2": 0})).taken == set()
    assert (await reporter.report("tx-1", rivals={"w-1": 0, "w-2": 0})).taken == set(), "itself"
