"""Charging sessions: one id for one session, however often it is reported."""

from datetime import datetime, timedelta

from directory import Directory

CHARGER = 7


async def test_a_repeated_start_of_1_6_gives_the_same_id(directory: Directory, now: datetime) -> None:
    start = directory.transactions.start
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


async def test_a_transaction_of_2_0_1_is_known_by_its_own_id(directory: Directory, now: datetime) -> None:
    start = directory.transactions.start
    first = await start(CHARGER, 1, None, now, None, ocpp_transaction_id="tx-1")
    later = now + timedelta(minutes=1)
    again = await start(CHARGER, 1, "Tag", later, 5, reservation_id=3, ocpp_transaction_id="tx-1")
    assert again == first
    current = (await directory.transactions.current(CHARGER))[1]
    assert (current.started_at, current.ocpp_transaction_id) == (now, "tx-1")
    assert (current.id_tag, current.meter_start, current.reservation_id) == ("Tag", 5, 3), "added later"
    assert await start(CHARGER + 1, 1, None, now, None, ocpp_transaction_id="tx-1") != first


async def test_the_sessions_of_several_chargers_come_in_one_answer(
    directory: Directory, now: datetime
) -> None:
    for charger_id in (CHARGER, CHARGER + 1, CHARGER + 2):
        await directory.transactions.start(charger_id, 1, "Tag", now, 0)
    found = await directory.transactions.current_of([CHARGER, CHARGER + 1])
    assert sorted(found) == [(CHARGER, 1), (CHARGER + 1, 1)]
    assert found[CHARGER + 1, 1].charger_id == CHARGER + 1


async def test_a_session_is_current_until_it_ends(directory: Directory, now: datetime) -> None:
    first = await directory.transactions.start(CHARGER, 1, "A", now, 0, reservation_id=9)
    second = await directory.transactions.start(CHARGER, 2, "B", now, 0, ocpp_transaction_id="tx-2")
    current = await directory.transactions.current(CHARGER)
    assert {number: found.id for number, found in current.items()} == {1: first, 2: second}
    assert (current[1].id_tag, current[1].started_at, current[1].reservation_id) == ("A", now, 9)

    later = now + timedelta(hours=1)
    ended = await directory.transactions.end(
        CHARGER, transaction_id=first, ended_at=later, meter_stop=1500, reason="Local"
    )
    assert ended is not None
    assert (ended.id, ended.port_number, ended.ended_at) == (first, 1, later)
    assert (ended.meter_stop, ended.reason) == (1500, "Local")
    assert list(await directory.transactions.current(CHARGER)) == [2]
    ended = await directory.transactions.end(CHARGER, ocpp_transaction_id="tx-2", ended_at=later)
    assert ended is not None
    assert ended.id == second
    assert await directory.transactions.current(CHARGER) == {}


async def test_a_repeated_end_changes_nothing(directory: Directory, now: datetime) -> None:
    transaction_id = await directory.transactions.start(CHARGER, 1, "A", now, 0)
    end = directory.transactions.end
    first = await end(CHARGER, transaction_id=transaction_id, ended_at=now, meter_stop=5, reason="Local")
    later = now + timedelta(hours=1)
    assert await end(CHARGER, transaction_id=transaction_id, ended_at=later, meter_stop=9) == first


async def test_the_end_of_an_unknown_session_is_none(directory: Directory, now: datetime) -> None:
    transaction_id = await directory.transactions.start(CHARGER, 1, "A", now, 0)
    end = directory.transactions.end
    assert await end(CHARGER, transaction_id=transaction_id + 1, ended_at=now) is None
    assert await end(CHARGER + 1, transaction_id=transaction_id, ended_at=now) is None, "another charger's"
    assert await end(CHARGER, ocpp_transaction_id="tx", ended_at=now) is None
    assert list(await directory.transactions.current(CHARGER)) == [1]


async def test_a_newer_session_on_the_port_ends_the_wait_for_a_lost_end(
    directory: Directory, now: datetime
) -> None:
    later = now + timedelta(hours=1)
    await directory.transactions.start(CHARGER, 1, "A", now, 0)
    second = await directory.transactions.start(CHARGER, 1, "B", later, 0)
    assert (await directory.transactions.current(CHARGER))[1].id == second
    await directory.transactions.end(CHARGER, transaction_id=second, ended_at=later)
    assert await directory.transactions.current(CHARGER) == {}
