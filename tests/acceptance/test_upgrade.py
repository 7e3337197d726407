"""An earlier release runs and reservations sleep; then all is replaced, and perhaps put back again."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.life import VERSIONS, Life
from tests.acceptance.releases import kept_releases, unpack
from tests.acceptance.stack import Stack
from tests.launch.commands import ROOT

PASSWORD = "correct-horse-battery"  # of a simulated charger

BRIEFLY = 40
"""Seconds; longer than it takes until the old worker is gone, also on a busy machine."""


async def charger_with_password(stack: Stack) -> Life:
    """A 2.0.1 charger that an administrator made known."""
    about = await stack.register("CP-SOUTH", password=PASSWORD)
    charger = await stack.charger("CP-SOUTH", version="2.0.1", password=PASSWORD, reconnect_seconds=(0.2,))
    return Life(stack, charger, about)


async def become_a_customer(stack: Stack) -> None:
    """Call with a key that was made over the API, from now on; no process is started with another."""
    response = await stack.http.post("/api/keys", json={"name": "shop", "rights": ["read", "reservations"]})
    assert response.status_code == 201, response.text
    stack.http.headers["Authorization"] = f"Bearer {response.json()['data']['key']}"
    del stack.environment["BERTH_BOOTSTRAP_API_KEY"]


async def replace(stack: Stack, process: str) -> datetime:
    """Stop a process politely and start the present code's; when the old one was gone."""
    assert await asyncio.to_thread(stack.stop, process) == 0
    gone_at = datetime.now(UTC)
    stack.start(process)
    return gone_at


def migrations(code: Path) -> set[str]:
    """The steps that a release's database has gone."""
    return {path.name for path in code.rglob("migrations/versions/v*.py")}


async def reserved_numbers(stack: Stack) -> set[tuple[int, int]]:
    """Charger and number of every reservation in the list."""
    response = await stack.http.get("/api/ocpp/reservations")
    assert response.status_code == 200, response.text
    return {(each["chargerId"], each["reservationId"]) for each in response.json()["data"]}


@pytest.mark.parametrize("release", kept_releases())
async def test_a_kept_release_runs_its_own_code(release: str, tmp_path: Path, temporal_cli: Path) -> None:
    old = unpack(release, tmp_path / "release")
    (old / "berth" / "__init__.py").write_text('__version__ = "of the archive"\n')
    shown = await Stack(tmp_path, temporal_cli, old).berth("--version")
    assert shown.stdout == "of the archive\n"


@pytest.mark.parametrize("release", kept_releases())
async def test_reservations_that_sleep_live_to_their_right_ends(
    release: str, tmp_path: Path, temporal_cli: Path
) -> None:
    old = unpack(release, tmp_path / "release")
    async with Stack(tmp_path, temporal_cli, old) as stack:
        north, south = await Life.begin(stack, "1.6"), await charger_with_password(stack)
        late = await stack.register("CP-LATE")
        await become_a_customer(stack)
        waiting = await stack.reserve(late["ports"][0]["id"], headers={"Prefer": "wait=1"})
        assert waiting.json()["data"]["status"] == "Pending"
        long = await north.begun(port=1)

        stack.code = ROOT
        for command in ("migrate", "search-attributes"):
            done = await stack.berth(command)
            assert done.returncode == 0, done.stderr
        brief = await south.begun(port=1, seconds=BRIEFLY)  # what runs goes on
        await replace(stack, "gateway")
        await stack.until_online(north.charger.identity)
        await stack.until_online(south.charger.identity)
        old_worker_gone_at = await replace(stack, "worker")
        await replace(stack, "api")
        await stack.until_ready()

        made = {(late["id"], 7), (north.charger_id, long), (south.charger_id, brief)}
        assert await reserved_numbers(stack) == made

        arrived = await stack.charger("CP-LATE")
        await stack.until_state(late["id"], "active")
        assert list(arrived.reservations) == [7]
        assert len(arrived.received("ReserveNow")) == 1

        expired = await south.is_in(brief, "expired", within=BRIEFLY + 60)
        assert datetime.fromisoformat(expired["endedAt"]) > old_worker_gone_at
        assert south.commands(brief) == ["ReserveNow"]

        await north.agrees(long)
        assert (await stack.cancel(north.charger_id, long)).json()["data"]["status"] == "Accepted"
        await north.is_in(long, "cancelled")
        await north.is_free()
        assert north.commands(long) == ["ReserveNow", "CancelReservation"]

        stack.code = old
        if migrations(old) < migrations(ROOT):  # else it may still start: there is nothing newer
            refused = await stack.berth("worker")
            assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
            assert "newer release" in refused.stderr


ORDERS = {
    "workers first": ("gateway", "worker", "api"),
    "APIs first": ("api", "gateway", "worker"),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("release", kept_releases())
async def test_in_any_order_and_back_every_reservation_stays_alive_and_can_be_cancelled(
    release: str, order: str, tmp_path: Path, temporal_cli: Path
) -> None:
    old = unpack(release, tmp_path / "release")
    async with Stack(tmp_path, temporal_cli, old, BERTH_SETTLE="1") as stack:
        chargers = [
            await Life.begin(stack, version, wrong_tag="starts_without_id")
            for version in VERSIONS
            for _ in range(3)
        ]
        begun: list[tuple[Life, int]] = []

        async def begin_one() -> None:
            """One more, and a stranger comes to it: its workflow has something to decide."""
            life = chargers[len(begun)]
            await stack.until_online(life.charger.identity)
            number = life.new_number()
            await life.reserve(number)  # Pending, perhaps: a process has just been replaced
            await life.is_in(number, "active")
            begun.append((life, number))
            assert await life.charger.start_charging("CARD-9", 1)
            await life.is_told(number, "violated")

        async def are_alive() -> None:
            for life, number in begun:
                assert (await life.show(number))["state"] == "active"

        await begin_one()
        stack.code = ROOT
        for command in ("migrate", "search-attributes"):
            done = await stack.berth(command)
            assert done.returncode == 0, done.stderr
        for process in ORDERS[order]:
            await replace(stack, process)
            await stack.until_ready()
            await begin_one()
            await are_alive()
        if migrations(old) == migrations(ROOT):  # else the database says that it is from a newer release
            stack.code = old
            for process in ("api", "worker"):
                await replace(stack, process)
                await stack.until_ready()
                await begin_one()
                await are_alive()
        for life, number in begun:
            answer = await stack.cancel(life.charger_id, number)
            assert answer.json()["data"]["status"] == "Accepted", answer.text
            await life.is_in(number, "cancelled")
            await life.is_free()
