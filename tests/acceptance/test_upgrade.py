"""An earlier release runs and reservations sleep; then all is replaced, and perhaps put back again."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.acceptance.life import VERSIONS, Life
from tests.acceptance.releases import kept_releases, unpack
from tests.launch.commands import ROOT

PASSWORD = "correct-horse-battery"  # of a simulated charger

BRIEFLY = 40
"""Seconds; longer than it takes until the old worker is gone, also on a busy machine."""


async def charger_with_password(house: House) -> Life:
    """A 2.0.1 charger that an administrator made known."""
    about = await house.register("CP-SOUTH", password=PASSWORD)
    charger = await house.charger("CP-SOUTH", version="2.0.1", password=PASSWORD, reconnect_seconds=(0.2,))
    return Life(house, charger, about)


async def become_a_customer(house: House) -> None:
    """Call with a key that was made over the API, from now on; no process is started with another."""
    response = await house.http.post("/api/keys", json={"name": "shop", "rights": ["read", "reservations"]})
    assert response.status_code == 201, response.text
    house.http.headers["Authorization"] = f"Bearer {response.json()['data']['key']}"
    del house.environment["BERTH_BOOTSTRAP_API_KEY"]


async def replace(house: House, process: str) -> datetime:
    """Stop a process politely and start the present code's; when the old one was gone."""
    assert await asyncio.to_thread(house.stop, process) == 0
    gone_at = datetime.now(UTC)
    house.start(process)
    return gone_at


def migrations(code: Path) -> set[str]:
    """The steps that a release's database has gone."""
    return {path.name for path in code.rglob("migrations/versions/v*.py")}


async def reserved_numbers(house: House) -> set[tuple[int, int]]:
    """Charger and number of every reservation in the list."""
    response = await house.http.get("/api/ocpp/reservations")
    assert response.status_code == 200, response.text
    return {(each["chargerId"], each["reservationId"]) for each in response.json()["data"]}


@pytest.mark.parametrize("release", kept_releases())
async def test_reservations_that_sleep_live_to_their_right_ends(
    release: str, tmp_path: Path, temporal_cli: Path
) -> None:
    old = unpack(release, tmp_path / "release")
    async with House(tmp_path, temporal_cli, old) as house:
        north, south = await Life.begin(house, "1.6"), await charger_with_password(house)
        late = await house.register("CP-LATE")
        await become_a_customer(house)
        waiting = await house.reserve(late["ports"][0]["id"], headers={"Prefer": "wait=1"})
        assert waiting.json()["data"]["status"] == "Pending"
        long = await north.begun(port=1)

        house.code = ROOT
        for command in ("migrate", "search-attributes"):
            done = await house.berth(command)
            assert done.returncode == 0, done.stderr
        brief = await south.begun(port=1, seconds=BRIEFLY)  # what runs goes on
        await replace(house, "gateway")
        await house.until_online(north.charger.identity)
        await house.until_online(south.charger.identity)
        old_worker_gone_at = await replace(house, "worker")
        await replace(house, "api")
        await house.until_ready()

        made = {(late["id"], 7), (north.charger_id, long), (south.charger_id, brief)}
        assert await reserved_numbers(house) == made

        arrived = await house.charger("CP-LATE")
        await house.until_state(late["id"], "active")
        assert list(arrived.reservations) == [7]
        assert len(arrived.received("ReserveNow")) == 1

        expired = await south.is_in(brief, "expired")
        assert datetime.fromisoformat(expired["endedAt"]) > old_worker_gone_at
        assert south.commands(brief) == ["ReserveNow"]

        await north.agrees(long)
        assert (await house.cancel(north.charger_id, long)).json()["data"]["status"] == "Accepted"
        await north.is_in(long, "cancelled")
        await north.is_free()
        assert north.commands(long) == ["ReserveNow", "CancelReservation"]

        house.code = old
        if migrations(old) < migrations(ROOT):  # else it may still start: there is nothing newer
            refused = await house.berth("worker")
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
    async with House(tmp_path, temporal_cli, old, BERTH_SETTLE="1") as house:
        chargers = [
            await Life.begin(house, version, wrong_tag="starts_without_id")
            for version in VERSIONS
            for _ in range(3)
        ]
        begun: list[tuple[Life, int]] = []

        async def begin_one() -> None:
            """One more, and a stranger comes to it: its workflow has something to decide."""
            life = chargers[len(begun)]
            await house.until_online(life.charger.identity)
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
        house.code = ROOT
        for command in ("migrate", "search-attributes"):
            done = await house.berth(command)
            assert done.returncode == 0, done.stderr
        for process in ORDERS[order]:
            await replace(house, process)
            await house.until_ready()
            await begin_one()
            await are_alive()
        if migrations(old) == migrations(ROOT):  # else the database says that it is from a newer release
            house.code = old
            for process in ("api", "worker"):
                await replace(house, process)
                await house.until_ready()
                await begin_one()
                await are_alive()
        for life, number in begun:
            answer = await house.cancel(life.charger_id, number)
            assert answer.json()["data"]["status"] == "Accepted", answer.text
            await life.is_in(number, "cancelled")
            await life.is_free()
