"""Several writers at once: nobody fails, nobody's word is lost, nothing is given twice."""

import asyncio
import os
import sys
from datetime import datetime
from itertools import chain
from pathlib import Path

from berth.database import AlreadyExists, Charger, Database, NewCharger, NewEvent

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("taking_gateway.py")


async def test_gateways_of_several_processes_never_get_the_same_epoch(
    database: Database, url: str, charger: Charger
) -> None:
    times = 100

    async def gateway(name: str) -> list[int]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SCRIPT), url, name, str(charger.id), str(times)),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return [int(line) for line in output.split()]

    epochs = await asyncio.gather(*(gateway(name) for name in ("one", "two", "three")))
    assert sorted(chain.from_iterable(epochs)) == list(range(1, 3 * times + 1))
    assert all(own == sorted(own) for own in epochs)
    assert await database.links.route(charger.id) is None, "the last one released"


async def test_of_two_gateways_that_take_a_charger_at_once_the_later_keeps_it(
    database: Database, other: Database, charger: Charger
) -> None:
    await database.links.start("one", "g", "queue-1")
    await other.links.start("two", "h", "queue-2")

    async def connect_and_leave(gateway: Database, incarnation: str) -> int:
        epoch = (await gateway.links.take(charger.id, incarnation, "ocpp1.6")).epoch
        await gateway.links.mark_ready(charger.id, epoch)
        return epoch

    for _ in range(25):
        one, two = await asyncio.gather(connect_and_leave(database, "one"), connect_and_leave(other, "two"))
        loser, winner = (one, two) if one < two else (two, one)
        assert not await database.links.release(charger.id, loser)
        assert await other.links.owns(charger.id, winner)
        link = await database.links.route(charger.id)
        assert link is not None
        assert (link.epoch, link.incarnation) == (winner, "one" if winner == one else "two")


async def test_one_identity_registered_by_many_at_once_is_one_charger(
    database: Database, other: Database
) -> None:
    chargers = await asyncio.gather(*(each.chargers.register("CP-9") for each in [database, other] * 10))
    assert len({charger.id for charger in chargers}) == 1


async def test_one_charger_added_by_two_at_once_is_added_once(database: Database, other: Database) -> None:
    results = await asyncio.gather(
        *(each.chargers.add(NewCharger("CP-9")) for each in (database, other)), return_exceptions=True
    )
    assert {type(result) for result in results} == {AlreadyExists, Charger}


async def test_one_start_reported_to_two_at_once_is_one_transaction(
    database: Database, other: Database, now: datetime
) -> None:
    ids = await asyncio.gather(
        *(each.transactions.start(1, 1, "Tag", now, 0) for each in [database, other] * 10)
    )
    assert len(set(ids)) == 1


async def test_an_unknown_port_reported_twice_at_once_appears_once(
    database: Database, other: Database, now: datetime
) -> None:
    charger = await database.chargers.register("CP-9")
    changes = await asyncio.gather(
        *(
            each.chargers.record_status(charger.id, 1, connector_id, "Available", now, create=True)
            for connector_id, each in enumerate([database, other] * 5, start=1)
        )
    )
    assert len([change for change in changes if change is not None]) == 1
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert len(found.ports) == 1


async def test_many_coroutines_write_and_read_at_once(
    database: Database, other: Database, charger: Charger
) -> None:
    async def one(each: Database, n: int) -> int:
        await each.events.store(charger.id, f"w-{n}", "k", "{}")
        return len(await each.events.next_of(charger.id, 1))

    assert (
        await asyncio.gather(*(one(each, n) for n in range(100) for each in (database, other))) == [1] * 200
    )
    assert len(await database.events.next_of(charger.id, 1000)) == 200


async def test_a_chargers_events_appear_in_the_order_of_their_ids_whoever_stores_them(
    database: Database, other: Database
) -> None:
    """Who has delivered one passes by what appears below it."""
    batches = 40

    async def store(each: Database, size: int) -> None:
        for _ in range(batches):
            await each.events.store_many([NewEvent(1, "w", "k", "{}")] * size)

    async def watch() -> None:
        seen: set[int] = set()
        while not storing.done():
            new = {event.id for event in await database.events.next_of(1, 10_000)} - seen
            assert not seen or not new or min(new) > max(seen)
            seen |= new
            await asyncio.sleep(0)

    storing = asyncio.gather(*(store(each, size) for each in (database, other) for size in (1, 5, 25)))
    try:
        await watch()
    finally:
        await storing


async def test_a_bootstrap_key_ensured_by_every_process_is_one_key(
    database: Database, other: Database
) -> None:
    await asyncio.gather(*(each.keys.ensure_bootstrap("x" * 32) for each in [database, other] * 5))
    assert len(await database.keys.all()) == 1
