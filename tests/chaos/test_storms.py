"""Storms: everything comes at once, nothing is lost, no socket drops, and no queue grows without end."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from simulator.ports import PortStatus
from simulator.wire import Payload
from tests.acceptance.stack import Stack
from tests.chaos.crowd import Crowd, crowd
from tests.conftest import KEPT

GRACE = 1.0  # seconds, BERTH_EXPIRY_GRACE of the stack
LATE_AT_MOST = 60.0  # seconds
FLOOD_PORT, OFFLINE_PORT, EXPIRY_PORTS = 1, 2, (3, 4)  # each storm has ports of its own

Say = Callable[[str], None]

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Size:
    """How hard it blows."""

    chargers: int
    waiting: int  # reservations for chargers that are away
    expiring: int  # reservations that end at one instant
    events_per_second: int
    seconds: int


SMALL = Size(chargers=300, waiting=40, expiring=150, events_per_second=200, seconds=2)
FULL = Size(chargers=2000, waiting=500, expiring=2000, events_per_second=500, seconds=10)


@dataclass(frozen=True)
class Storm:
    """A stack with a crowd before it."""

    stack: Stack
    crowd: Crowd
    size: Size


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def storm(
    tmp_path_factory: pytest.TempPathFactory, temporal_cli: Path, full_size: bool
) -> AsyncIterator[Storm]:
    """One for all storms: most of their time would go into connecting the chargers."""
    size = FULL if full_size else SMALL
    with pytest.MonkeyPatch.context() as patch:  # as `clean_environment` does for each test
        for name in os.environ:
            if name.startswith(("BERTH_", "TEMPORAL_")) and name not in KEPT:
                patch.delenv(name)
        stack = Stack(
            tmp_path_factory.mktemp("storm"),
            temporal_cli,
            BERTH_RATE_LIMIT="0",
            BERTH_EXPIRY_GRACE=str(GRACE),
            BERTH_LOAD_LOG_INTERVAL="1",
        )
    async with stack, crowd(stack, size.chargers, ports=4) as everyone:
        yield Storm(stack, everyone, size)


async def test_a_flood_of_events_is_answered_at_once_and_heard_in_order(storm: Storm, say: Say) -> None:
    size, before = storm.size, _end_of_log(storm.stack)
    each = 10
    # OCPP 1.6 has several words for a busy port, so that each report is a change and concerns a reservation.
    places = [place for place in await storm.crowd.places(FLOOD_PORT) if place.charger.version == "1.6"]
    places = places[: size.events_per_second * size.seconds // each]
    await storm.crowd.hold(places, datetime.now(UTC) + timedelta(hours=1))

    began = time.monotonic()
    answers: list[asyncio.Future[Payload]] = []
    for number in range(each * len(places)):
        status = PortStatus.CHARGING if number // len(places) % 2 else PortStatus.PREPARING
        charger = places[number % len(places)].charger
        answers += [posted.answer for posted in charger.report(FLOOD_PORT, status)]
        await asyncio.sleep(max(0.0, began + number / size.events_per_second - time.monotonic()))
    sent_after = time.monotonic() - began
    await asyncio.gather(*answers)
    answered_after = time.monotonic() - began

    heard = await storm.crowd.until_all(
        places, "heard", lambda shown: len(_port_words(shown)) >= each, 60 + len(answers) / 20
    )
    heard_after = time.monotonic() - began
    assert all(_port_words(shown) == ["Preparing", "Charging"] * (each // 2) for _, shown in heard)
    assert _dropped(storm.stack, before) == []
    say(
        f"storm: {len(answers)} events sent in {sent_after:.1f} s ({len(answers) / sent_after:.0f}/s), "
        f"all answered after {answered_after:.1f} s and heard by {len(places)} workflows, in order, after "
        f"{heard_after:.1f} s; {_peaks(storm.stack, before)}"
    )


async def test_reservations_that_expire_at_one_instant_all_end(storm: Storm, say: Say) -> None:
    before = _end_of_log(storm.stack)
    places = [place for number in EXPIRY_PORTS for place in await storm.crowd.places(number)]
    places = places[: storm.size.expiring]
    expires_at = await _enough_time(storm, len(places))
    began = time.monotonic()
    await storm.crowd.hold(places, expires_at)
    made_after = time.monotonic() - began
    assert datetime.now(UTC) < expires_at

    left = (expires_at - datetime.now(UTC)).total_seconds()
    await storm.stack.until(_is_past(expires_at), "the instant", within=left + 5)
    ended = await storm.crowd.until_all(places, "expired", _is("expired"), LATE_AT_MOST + len(places) / 10)

    late = sorted(_late(shown, expires_at) for _, shown in ended)
    say(
        f"storm: {len(places)} reservations made in {made_after:.0f} s, all ended after one instant, late "
        f"by {late[len(late) // 2]:.1f} s (median) and {late[-1]:.1f} s (last); "
        f"{_peaks(storm.stack, before)}"
    )
    assert late[-1] < LATE_AT_MOST
    assert not any(place.port_id in place.charger.reservations for place in places)
    assert _dropped(storm.stack, before) == []


async def test_all_chargers_of_a_dead_gateway_come_back_at_once(storm: Storm, say: Say) -> None:
    stack, chargers = storm.stack, storm.crowd.chargers
    places = (await storm.crowd.places(OFFLINE_PORT))[: storm.size.waiting]
    stack.kill("gateway")
    killed_at, since = time.monotonic(), datetime.now(UTC)
    told = await storm.crowd.reserve(places, datetime.now(UTC) + timedelta(hours=1), wait=0)
    assert set(told) == {"Pending"}  # nobody is there to ask

    before = _end_of_log(stack)
    stack.start("gateway")
    started_at = time.monotonic()
    await storm.crowd.until_routed(since, 60 + len(chargers) / 20)
    routed_after = time.monotonic() - started_at
    active = await storm.crowd.until_all(places, "active", _is("active"), 60)

    assert all(place.port_id in place.charger.reservations for place in places)
    assert all(charger.connected for charger in chargers)
    assert _dropped(stack, before) == []
    sent_after = sorted(_after_connected(shown) for _, shown in active)
    say(
        f"storm: {len(chargers)} chargers back and routed {routed_after:.1f} s after the start of a gateway "
        f"that was gone for {started_at - killed_at:.1f} s; {len(places)} reservations waited for it and "
        f"were active {sent_after[len(sent_after) // 2]:.1f} s (median), {sent_after[-1]:.1f} s (last) after "
        f"they heard of it; {_peaks(stack, before)}"
    )


async def _enough_time(storm: Storm, count: int) -> datetime:
    """An instant by which so many reservations are made, as fast as a few of them are made now."""
    pilot = (await storm.crowd.places(OFFLINE_PORT))[-24:]
    began = time.monotonic()
    await storm.crowd.hold(pilot, datetime.now(UTC) + timedelta(hours=1))
    each = (time.monotonic() - began) / len(pilot)
    return (datetime.now(UTC) + timedelta(seconds=6 + 2 * count * each)).replace(microsecond=0)


def _is(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda shown: bool(shown["state"] == state)


def _is_past(instant: datetime) -> Callable[[], Awaitable[bool]]:
    async def is_past() -> bool:
        return datetime.now(UTC) >= instant

    return is_past


def _late(shown: dict[str, Any], expires_at: datetime) -> float:
    return (datetime.fromisoformat(shown["endedAt"]) - expires_at).total_seconds() - GRACE


def _port_words(shown: dict[str, Any]) -> list[str]:
    return [item["detail"] for item in shown["timeline"] if item["event"] == "port status"]


def _after_connected(shown: dict[str, Any]) -> float:
    at = {item["event"]: datetime.fromisoformat(item["at"]) for item in shown["timeline"]}
    return (at["active"] - at.get("charger connected", at["active"])).total_seconds()


# --- what the gateway logs --------------------------------------------------------------------------------


def _end_of_log(stack: Stack) -> int:
    return (stack.folder / "gateway.log").stat().st_size


def _lines(stack: Stack, start: int, event: str) -> list[dict[str, Any]]:
    text = (stack.folder / "gateway.log").read_bytes()[start:].decode()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def _dropped(stack: Stack, start: int) -> list[dict[str, Any]]:
    return _lines(stack, start, "charger_disconnected")


def _peaks(stack: Stack, start: int) -> str:
    loads = _lines(stack, start, "gateway_load")
    assert loads, "the gateway tells its load"
    names = ("calls_waiting", "deliveries_waiting", "messages_waiting", "messages_dropped")
    return "peaks: " + ", ".join(f"{name} {max(load[name] for load in loads)}" for name in names)
