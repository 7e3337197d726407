"""Chargers are asked what they can do: in quiet moments, seldom, and never in a command's way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import make_url

from berth.charger_link import NotSent
from berth.database import Capabilities, Charger, Database
from berth.database.connections import Connections
from berth.database.database import connect
from berth.database.tables import chargers
from gateway import inquiry, outbound
from tests.database.time_passes import age
from tests.gateway.commands import Commands, terms
from tests.gateway.stack import Stack, Temporal, eventually, until
from tests.gateway.station import Station
from workflows.messages import ReserveStatus

RESERVES = {
    "configurationKey": [{"key": "SupportedFeatureProfiles", "readonly": True, "value": "Reservation"}]
}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moments between attempts are short here, and a charger may take many to be ready."""
    monkeypatch.setattr(inquiry, "_ATTEMPTS", 10_000)


@pytest.fixture
async def connections(database: Database, tmp_path: Path) -> AsyncIterator[Connections]:
    """A way around the database, to let time pass in it."""
    connections = connect(make_url(f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"))
    yield connections
    await connections.close()


@pytest.fixture
async def stack(database: Database, temporal: Temporal, charger: Charger) -> AsyncIterator[Stack]:
    """A gateway that asks soon."""
    async with Stack(database, temporal, inquire_after=0.02) as stack:
        yield stack


@pytest.fixture
def commands(stack: Stack, charger: Charger) -> Commands:
    return Commands(stack, charger)


@asynccontextmanager
async def asked(stack: Stack, version: str = "1.6") -> AsyncIterator[tuple[Station, Any]]:
    """A charger that was asked and has not answered: its station, the question's message id."""
    async with stack.station(version) as station:
        await station.boot()
        message_id, _ = await station.asked("GetConfiguration" if version == "1.6" else "GetVariables")
        yield station, message_id


async def known(stack: Stack, charger: Charger) -> Capabilities:
    """What is known once something is."""

    async def something() -> Capabilities | None:
        found = await stack.database.chargers.by_id(charger.id)
        assert found is not None
        return found.capabilities if found.capabilities != Capabilities() else None

    return await eventually(something)


async def was_asked(stack: Stack, charger: Charger) -> None:
    """Poll until the charger counts as asked."""

    async def is_settled() -> bool:
        return not await stack.database.capabilities.is_due(charger.id)

    await eventually(is_settled)


async def is_not_asked(stack: Stack, station: Station) -> None:
    """Everything that was about to ask has ended, and nothing was asked."""
    await until(lambda: not stack.server._inquirer._under_way)
    await station.call("Heartbeat")
    assert station.calls.empty()


async def test_a_16_charger_says_what_it_can_do(stack: Stack, charger: Charger) -> None:
    async with stack.station() as station:
        await station.boot()
        message_id, payload = await station.asked("GetConfiguration")
        assert payload == {"key": ["SupportedFeatureProfiles", "ReserveConnectorZeroSupported"]}
        zero = {"key": "ReserveConnectorZeroSupported", "readonly": True, "value": "true"}
        await station.answer(message_id, {"configurationKey": [*RESERVES["configurationKey"], zero]})
        assert await known(stack, charger) == Capabilities(reservations=True, whole_charger=True)


async def test_a_201_station_says_what_it_can_do(stack: Stack, charger: Charger) -> None:
    async with stack.station("2.0.1") as station:
        await station.boot()
        message_id, payload = await station.asked("GetVariables")
        results = [
            asked | {"attributeStatus": "Accepted", "attributeValue": "true"}
            for asked in payload["getVariableData"]
        ]
        await station.answer(message_id, {"getVariableResult": results})
        assert await known(stack, charger) == Capabilities(reservations=True, whole_charger=True)


@pytest.mark.parametrize("ending", ["refuses", "is silent", "answers nonsense"])
async def test_a_charger_that_does_not_say_stays_unknown_and_is_left_in_peace(
    stack: Stack, charger: Charger, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(outbound, "_INQUIRY_TIMEOUT", timedelta(milliseconds=50))
    async with asked(stack) as (station, message_id):
        if ending == "refuses":
            await station.refuse(message_id, "NotImplemented")
        elif ending == "answers nonsense":
            await station.answer(message_id, {"configurationKey": "all of them"})
        await was_asked(stack, charger)
        found = await stack.database.chargers.by_id(charger.id)
        assert found is not None
        assert found.capabilities == Capabilities()
        await station.boot()
        await is_not_asked(stack, station)


async def test_silence_does_not_count_towards_the_closing_of_the_socket(
    stack: Stack, charger: Charger, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "_INQUIRY_TIMEOUT", timedelta(milliseconds=20))
    monkeypatch.setattr(outbound, "_SILENT_CALLS_LIMIT", 1)
    async with asked(stack) as (station, message_id):
        await was_asked(stack, charger)
        with structlog.testing.capture_logs() as logs:
            await station.answer(message_id, RESERVES)
            await station.call("Heartbeat")
        assert [line["action"] for line in logs if line["event"] == "late_answer"] == ["GetConfiguration"]
        cancelling = asyncio.create_task(commands.cancel())
        await station.answer((await station.asked("CancelReservation"))[0], {"status": "Accepted"})
        await cancelling


async def test_a_charger_is_not_asked_with_every_connection_and_boot(stack: Stack, charger: Charger) -> None:
    async with asked(stack) as (station, message_id):
        await station.answer(message_id, RESERVES)
        await known(stack, charger)
        await station.boot()
        await is_not_asked(stack, station)
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        await is_not_asked(stack, station)


async def test_a_charger_that_boots_a_day_later_is_asked_again(
    stack: Stack, charger: Charger, connections: Connections
) -> None:
    async with asked(stack) as (station, message_id):
        await station.answer(message_id, RESERVES)
        await known(stack, charger)
    await age(connections, chargers.c.capabilities_asked_at, timedelta(days=1))
    async with asked(stack):
        pass


async def test_a_charger_that_reconnects_without_a_boot_is_asked_only_while_it_is_unknown(
    database: Database, temporal: Temporal, charger: Charger, connections: Connections
) -> None:
    await database.chargers.set_identity_facts(charger.id, "Maker", "Model")
    async with Stack(database, temporal, boot_wait=0.01, inquire_after=0.02) as stack:
        async with stack.station() as station:
            message_id, _ = await station.asked("GetConfiguration")
            await station.answer(message_id, RESERVES)
            await known(stack, charger)
        await age(connections, chargers.c.capabilities_asked_at, timedelta(days=1))
        async with stack.station() as station:
            await stack.session()
            await is_not_asked(stack, station)


async def test_a_charger_that_dies_of_the_question_is_left_in_peace(stack: Stack, charger: Charger) -> None:
    async with asked(stack) as (station, _):
        station.socket.transport.abort()
    await was_asked(stack, charger)
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        await is_not_asked(stack, station)


async def test_new_firmware_makes_a_charger_unknown_and_has_it_asked_again(
    stack: Stack, charger: Charger
) -> None:
    boot = {"chargePointVendor": "Maker", "chargePointModel": "Model"}
    async with stack.station() as station:
        await station.call("BootNotification", boot | {"firmwareVersion": "1.0"})
        await station.answer((await station.asked("GetConfiguration"))[0], RESERVES)
        await known(stack, charger)
        await station.call("BootNotification", boot | {"firmwareVersion": "1.1"})
        found = await stack.database.chargers.by_id(charger.id)
        assert found is not None
        assert found.capabilities == Capabilities()
        await station.answer((await station.asked("GetConfiguration"))[0], RESERVES)
        assert await known(stack, charger) == Capabilities(True, False)


async def test_a_command_goes_before_the_question(stack: Stack, charger: Charger, commands: Commands) -> None:
    async with stack.station() as station:
        await station.boot()
        session = await stack.session()
        cancelling = asyncio.create_task(commands.cancel())
        message_id, _ = await station.asked("CancelReservation")
        with pytest.raises(NotSent):
            await session.inquire()
        assert station.calls.empty()
        await station.answer(message_id, {"status": "Accepted"})
        await cancelling
        await station.answer((await station.asked("GetConfiguration"))[0], RESERVES)
        assert (await known(stack, charger)).reservations


async def test_a_command_waits_no_longer_than_a_moment_for_the_answer_to_a_question(
    stack: Stack, charger: Charger, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "_INQUIRY_YIELDS_AFTER", 0.05)
    async with asked(stack) as (station, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        reserving = asyncio.create_task(commands.reserve())
        message_id, _ = await station.asked("ReserveNow")
        assert loop.time() - began < 4, "the question itself may wait for five seconds"
        await station.answer(message_id, {"status": "Accepted"})
        assert (await reserving).status is ReserveStatus.ACCEPTED
        await was_asked(stack, charger)


async def test_a_command_that_comes_with_a_question_out_goes_second_when_the_answer_is_quick(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    async with asked(stack) as (station, question):
        reserving = asyncio.create_task(commands.reserve())
        await station.call("Heartbeat")
        assert station.calls.empty(), "one call at a time"
        await station.answer(question, RESERVES)
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        assert (await reserving).status is ReserveStatus.ACCEPTED
        assert await known(stack, charger) == Capabilities(True, False)


@pytest.mark.parametrize(
    ("port_number", "answer", "capabilities"),
    [
        (1, lambda: {"status": "Accepted"}, Capabilities(reservations=True)),
        (None, lambda: {"status": "Accepted"}, Capabilities(True, True)),
        (1, lambda: "NotImplemented", Capabilities(reservations=False)),
        (1, lambda: "NotSupported", Capabilities(reservations=False)),
    ],
)
async def test_an_answer_to_a_command_shows_what_a_charger_can_do(
    database: Database,
    temporal: Temporal,
    charger: Charger,
    port_number: int | None,
    answer: Callable[[], Any],
    capabilities: Capabilities,
) -> None:
    async with Stack(database, temporal) as stack, stack.station() as station:
        await station.boot()
        await stack.session()
        reserving = asyncio.create_task(
            Commands(stack, charger).reserve(terms=terms(port_number=port_number))
        )
        message_id, _ = await station.asked("ReserveNow")
        said = answer()
        await (station.refuse if isinstance(said, str) else station.answer)(message_id, said)
        await reserving
        assert await known(stack, charger) == capabilities


async def test_what_is_known_never_stops_a_frame(stack: Stack, charger: Charger, commands: Commands) -> None:
    await stack.database.capabilities.showed(charger.id, Capabilities(False, False))
    async with stack.station() as station:
        await station.boot()
        await station.answer((await station.asked("GetConfiguration"))[0], {})
        await was_asked(stack, charger)
        reserving = asyncio.create_task(commands.reserve(terms=terms(port_number=None)))
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        await reserving
    assert await known(stack, charger) == Capabilities(True, True)


async def test_an_answer_is_not_lost_over_what_it_shows(
    stack: Stack, charger: Charger, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> None:
        raise OSError("disk full")

    async with stack.station() as station:
        await station.boot()
        await station.answer((await station.asked("GetConfiguration"))[0], RESERVES)
        await known(stack, charger)
        monkeypatch.setattr(stack.database.capabilities, "showed", fails)
        reserving = asyncio.create_task(commands.reserve())
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        assert (await reserving).status is ReserveStatus.ACCEPTED
