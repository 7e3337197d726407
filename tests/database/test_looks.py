"""What a reservation sees of its charger, and that it sees it in time or learns that it does not."""

import asyncio
import contextlib
import dataclasses
import shutil
import sqlite3
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.testing import ActivityEnvironment

from activities.reservation_lookups import RouteFinder
from berth import deadline
from berth.database import Charger, Database
from berth.database.database import connect
from berth.database.tables import chargers
from tests.database.hanging import line_to
from tests.database.postgres import PostgresServer
from workflows.messages import LookInput, PortView, Route

WORKFLOW = "reservation-1-7"


async def run(activity: Any, argument: Any) -> Any:
    """The activity as Temporal runs it for the workflow of reservation 7."""
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(ActivityEnvironment.default_info(), workflow_id=WORKFLOW)
    return await environment.run(activity, argument)


async def look(database: Database, charger_id: int, port_number: int | None = 1) -> PortView:
    finder = RouteFinder(database)
    view: PortView = await run(
        finder.look_at_charger, LookInput(charger_id=charger_id, port_number=port_number)
    )
    return view


async def test_an_online_charger_is_seen_with_its_port(
    database: Database, charger: Charger, now: datetime
) -> None:
    await database.chargers.record_status(charger.id, 1, 1, "Reserved", now)
    assert await look(database, charger.id) == PortView(route=None, status="Reserved", status_at=now)
    await database.links.start("one", "g", "queue-1")
    epoch = (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
    assert (await look(database, charger.id)).route is None, "connected is not ready"
    await database.links.mark_ready(charger.id, epoch)
    seen = await look(database, charger.id)
    assert (seen.route, seen.protocol) == (Route(queue="queue-1", epoch=epoch), "ocpp1.6")
    assert (seen.status, seen.status_at) == ("Reserved", now)
    assert timedelta(0) <= seen.ready_for < timedelta(minutes=1)
    assert (await look(database, charger.id, 2)).status is None
    assert (await look(database, charger.id, None)).status is None
    assert (await look(database, charger.id, None)).route == seen.route
    await database.links.drain("one")
    assert await look(database, charger.id) == PortView(route=None, status="Reserved", status_at=now)


async def test_an_unknown_charger_is_offline(database: Database) -> None:
    assert await look(database, 99) == PortView(route=None)


async def test_events_that_wait_for_the_workflow_are_seen_and_no_others(
    database: Database, charger: Charger
) -> None:
    await database.events.store(charger.id, "reservation-1-8", "port_status", "{}")
    assert not (await look(database, charger.id)).events_waiting
    await database.events.store(charger.id, WORKFLOW, "port_status", "{}")
    assert (await look(database, charger.id)).events_waiting
    assert (await look(database, charger.id, None)).events_waiting


# --- a database that hangs ----------------------------------------------------------------------------


async def test_a_look_at_a_server_that_fell_silent_fails_in_time(
    postgres: PostgresServer, migrated_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.reservation_lookups._LOOK_WITHIN", 0.2)
    url = postgres.url(postgres.create_database(migrated_database))
    async with line_to(url) as (over, line), await Database.open(over) as database:
        charger = await database.chargers.register("CP-1")
        assert (await look(database, charger.id)).route is None
        line.hang()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await look(database, charger.id)
        assert time.monotonic() - began < 1.5, "asyncio.timeout takes two seconds more"
        await ended()


async def ended() -> None:
    """What was given up has let go of its connection."""
    while deadline._given_up:
        await asyncio.wait(deadline._given_up)


async def test_a_writer_that_keeps_a_file_to_itself_holds_up_no_look(
    migrated_file: Path, tmp_path: Path
) -> None:
    file = shutil.copy(migrated_file, tmp_path / "berth.db")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as another:
        async with await Database.open(f"sqlite:///{file}") as database:
            another.execute("BEGIN EXCLUSIVE")
            writing = asyncio.ensure_future(database.chargers.register("CP-1"))
            assert await look(database, 1) == PortView(route=None)
            assert not writing.done()
            another.execute("COMMIT")
            await writing


async def test_a_file_that_another_process_has_for_itself_is_waited_for_off_the_loop(
    migrated_file: Path, tmp_path: Path
) -> None:
    file = shutil.copy(migrated_file, tmp_path / "berth.db")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as another:
        another.execute("PRAGMA locking_mode = EXCLUSIVE")
        another.execute("BEGIN EXCLUSIVE")
        connections = connect(sa.make_url(f"sqlite:///{file}"))
        looking = asyncio.ensure_future(connections.lookup(sa.select(chargers.c.id)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not looking.done(), "it would have held up the loop for as long as it waits"
        another.close()
        assert await looking == []
        await connections.close()
