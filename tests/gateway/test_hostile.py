"""Garbage, from broken chargers and from people who mean it: answered or closed, and nobody else notices."""

import asyncio
import gc
import json
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from berth.database import Database, NewCharger, NewPort
from gateway import server
from tests.conftest import KEPT
from tests.gateway.attacks import (
    ATTACKS,
    GUARDED,
    OPEN_TIMEOUT,
    Attack,
    asked,
    asked_to_reserve,
    attacker,
    frames_until,
    is_answered,
)
from tests.gateway.garbage import GARBAGE, Garbage
from tests.gateway.stack import Stack, Temporal, until
from tests.gateway.station import Station
from workflows.messages import ReserveStatus, Terms

NEIGHBOUR = "NEIGHBOUR"
QUICKLY = 5.0  # seconds for the neighbour's ReserveNow, on a machine that is busy with other tests
MOST_LINES = 600  # of log that one attack may cause


# --- what stays as it should, whatever comes -------------------------------------------------------------


class Neighbour:
    """A well-behaved charger of the same gateway; `slowest` is its slowest reservation, in seconds."""

    def __init__(self, stack: Stack, station: Station) -> None:
        self.slowest = 0.0
        self._stack = stack
        self._station = station

    async def is_reserved(self) -> None:
        """A ReserveNow goes out and comes back."""
        asked_at = time.monotonic()
        session = await self._stack.session(NEIGHBOUR)
        terms = Terms(port_id=1, port_number=1, expires_at=datetime.now(UTC), id_tag="GOOD")
        asking = asyncio.create_task(
            session.reserve_now(
                1,
                terms,
                call_timeout=timedelta(seconds=10),
                write_before=asyncio.get_running_loop().time() + 10,
            )
        )
        message_id, _ = await self._station.asked("ReserveNow")
        await self._station.answer(message_id, {"status": "Accepted"})
        assert (await asking).status is ReserveStatus.ACCEPTED
        self.slowest = max(self.slowest, time.monotonic() - asked_at)

    @asynccontextmanager
    async def living_on(self) -> AsyncIterator[None]:
        """It is reserved over and over meanwhile, at least once, and quickly."""
        is_over = asyncio.Event()

        async def live() -> None:
            while True:
                await self.is_reserved()
                if is_over.is_set():
                    return
                await asyncio.sleep(0.01)

        living = asyncio.create_task(live())
        try:
            yield
        finally:
            is_over.set()
            await living
        assert self.slowest < QUICKLY


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One gateway for all that is thrown at it; it takes everyone in, and waits less long for the slow."""
    file = shutil.copy(migrated_file, tmp_path_factory.mktemp("hostile") / "berth.db")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("BERTH_") and name not in KEPT:
                patch.delenv(name)
        patch.setattr(server, "_OPEN_TIMEOUT", OPEN_TIMEOUT)
        patch.setattr(server, "_CLOSE_TIMEOUT", 1.0)
        async with (
            await Database.open(f"sqlite+aiosqlite:///{file}") as database,
            Stack(database, Temporal(), boot_wait=0.1, ocpp_ping_interval=2, max_connections=200) as stack,
        ):
            await database.chargers.add(NewCharger("CP-1", ports=[NewPort(1), NewPort(2)]))
            await database.chargers.add(NewCharger(GUARDED, password="0123456789abcdef0123"))
            background = [asyncio.create_task(stack.messages.run()), asyncio.create_task(_beat(stack))]
            yield stack
            for task in background:
                task.cancel()


async def _beat(stack: Stack) -> None:
    while True:
        await stack.database.links.heartbeat(stack.incarnation)
        await asyncio.sleep(3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def neighbour(stack: Stack) -> AsyncIterator[Neighbour]:
    async with stack.station(identity=NEIGHBOUR) as station:
        await station.boot()
        yield Neighbour(stack, station)


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def watch(
    neighbour: Neighbour, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """No traceback, no exception that nobody heard, no log that fills a disk."""
    monkeypatch.setattr("gateway.session._NOTING_TIMEOUT", 60.0)  # a busy machine writes late
    uncaught: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: uncaught.append(context))
    with structlog.testing.capture_logs() as lines:
        yield
        gc.collect(1)  # tasks that failed unheard say so now
        await asyncio.sleep(0)
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
    assert [r.getMessage() for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR] == []
    assert uncaught == []
    assert len(lines) < MOST_LINES


# --- hostilities ------------------------------------------------------------------------------------------


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.sampled_from(["Accepted", "CP-1", "2026-11-23T12:00:00Z", "x" * 300]),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4)
    ),
    max_leaves=10,
)
ACTIONS = sorted(
    {action for dialect in server.DIALECTS.values() for action in dialect.routes} | {"ReserveNow"}
)
calls = st.builds(lambda *parts: [2, *parts], json_values, st.sampled_from(ACTIONS), json_values)
answers = st.lists(json_values, max_size=4).flatmap(
    lambda tail: st.sampled_from([3, 4, 5, 6]).map(lambda kind: [kind, *tail])
)
sent = (
    st.binary(max_size=300)
    | st.text(max_size=300)
    | (json_values | calls | answers).map(lambda value: json.dumps(value))
)


@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(version=st.sampled_from(["1.6", "2.0.1"]), frames=st.lists(sent, min_size=1, max_size=12))
async def test_whatever_is_sent_the_talk_goes_on(
    stack: Stack, neighbour: Neighbour, version: str, frames: list[str | bytes]
) -> None:
    async with attacker(stack, version) as socket:
        for frame in frames:
            await socket.send(frame)
        await is_answered(socket)
    await stack.messages.flush()


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: garbage.sentence)
async def test_garbage_is_answered_as_it_should_be_and_the_talk_goes_on(
    stack: Stack, neighbour: Neighbour, version: str, garbage: Garbage
) -> None:
    async with attacker(stack, version) as socket:
        await socket.send(garbage.sent)
        await socket.send(json.dumps([2, "after", "Heartbeat", {}]))
        answers = await frames_until(socket, "after")
    expected = garbage.answer_in(version)
    assert [answer[: len(expected)] for answer in answers] == ([expected] if expected else [])
    await stack.messages.flush()
    await neighbour.is_reserved()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__.replace("_", " "))
async def test_under_attack_the_neighbour_lives_on(
    stack: Stack, neighbour: Neighbour, attack: Attack
) -> None:
    async with neighbour.living_on():
        await attack(stack)
    await stack.messages.flush()
    await until(lambda: len(stack.registry) <= 1, within=30)  # only the neighbour is left


async def test_an_answer_to_another_chargers_call_answers_nothing(stack: Stack) -> None:
    async with asked(stack) as (station, session), stack.station(identity="THIEF") as thief:
        await thief.boot()
        reserving = asked_to_reserve(session)
        message_id, _ = await station.asked("ReserveNow")
        await thief.answer(message_id, {"status": "Rejected"})
        await thief.call("Heartbeat")
        assert not reserving.done()
        await station.answer(message_id, {"status": "Accepted"})
        assert (await reserving).status is ReserveStatus.ACCEPTED
