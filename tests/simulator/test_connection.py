"""Sockets that come and go, restarts, and what survives them."""

from datetime import datetime
from pathlib import Path

import pytest

from simulator import Fleet, ObjectMemory
from simulator.ports import PortStatus
from simulator.wire import NoAnswer
from tests.simulator.central_system import CentralSystem, Link, Payload
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.until import until

VERSIONS = ["1.6", "2.0.1"]


async def test_a_dropped_socket_comes_back_without_a_boot(bench: BenchMaker) -> None:
    b = await bench()
    await b.reserve(1)
    await b.shows("Reserved")
    await b.charger.drop()
    await until(lambda: b.central.connections == 2 and b.charger.booted.is_set())
    assert len(b.calls("BootNotification")) == 1
    assert await b.cancel(1) == "Accepted"
    await b.shows("Reserved", "Available")


async def test_what_is_posted_while_the_socket_goes_is_never_answered(bench: BenchMaker) -> None:
    b = await bench()
    peer = b.charger.online
    assert peer is not None
    posted = peer.post("Heartbeat", {})
    await peer.close()
    with pytest.raises(NoAnswer):
        await posted.answer


async def test_an_offline_charger_stays_away_until_told(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.disconnect()
    await until(lambda: not b.charger.connected)
    await b.charger.fault(1)
    await b.charger.reconnect()
    await until(lambda: b.charger.booted.is_set())
    await b.shows("Available", "Faulted")


async def test_a_charger_can_go_away_for_some_seconds(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.disconnect(seconds=0.05)
    await until(lambda: b.central.connections == 2 and b.charger.booted.is_set())


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_transaction_while_offline_is_told_later_with_its_time(
    bench: BenchMaker, version: str
) -> None:
    b = await bench(version=version)
    await b.reserve(5)
    await b.charger.disconnect()
    await until(lambda: not b.charger.connected)
    assert await b.charger.start_charging("TAG-A")
    started_at = b.charger.charging.session(1).started_at
    await b.charger.stop_charging(1)
    await b.charger.reconnect()
    if version == "1.6":
        await until(lambda: b.calls("StopTransaction"))
        start = b.calls("StartTransaction")[0]
        assert b.calls("StopTransaction")[0]["transactionId"] == 101
    else:
        await until(lambda: len(b.calls("TransactionEvent")) == 2)
        start = b.calls("TransactionEvent")[0]
        assert start["offline"] is True
    assert start["reservationId"] == 5
    told_at = datetime.fromisoformat(start["timestamp"])
    assert abs((told_at - started_at).total_seconds()) < 0.002


async def test_an_expiry_while_offline_is_told_after_the_outage(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1")
    await b.reserve(5, seconds=0.1)
    await b.shows("Reserved")
    await b.charger.disconnect()
    await until(lambda: not b.charger.reservations)
    await b.charger.reconnect()
    await b.shows("Reserved", "Available")
    assert b.calls("ReservationStatusUpdate")[0]["reservationId"] == 5


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reboot_keeps_reservations(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    await b.reserve(5)
    await b.charger.reboot()
    await until(lambda: len(b.calls("BootNotification")) == 2 and b.charger.booted.is_set())
    await b.shows("Reserved", "Reserved")
    assert await b.cancel(5) == "Accepted"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reset_reboots(bench: BenchMaker, version: str) -> None:
    b = await bench(version=version)
    kind = "Soft" if version == "1.6" else "Immediate"
    assert (await b.link.call("Reset", {"type": kind}))["status"] == "Accepted"
    await until(lambda: len(b.calls("BootNotification")) == 2)


async def test_a_memory_carries_reservations_to_a_new_charger(bench: BenchMaker, fleet: Fleet) -> None:
    memory = ObjectMemory()
    b = await bench("C1", memory=memory)
    await b.reserve(5)
    await b.change_availability(2, operative=False)
    await until(lambda: b.charger.status(2) is PortStatus.UNAVAILABLE)
    await fleet.remove("C1")
    reborn = await bench("C1", memory=memory)
    assert reborn.charger.reservations[5][:2] == (1, "TAG-A")
    await reborn.shows("Reserved", port=1)
    await reborn.shows("Unavailable", port=2)


async def test_a_folder_carries_reservations_to_a_new_fleet(central: CentralSystem, tmp_path: Path) -> None:
    for expected in ({}, {5: 1}):
        async with Fleet(central.url, 1, state_dir=tmp_path) as fleet:
            await fleet.wait_until_booted()
            held = {number: row[0] for number, row in fleet["SIM-1"].reservations.items()}
            assert held == expected
            await Bench(central, fleet["SIM-1"]).reserve(5)


async def test_the_password_goes_out_as_basic_authorization(
    central: CentralSystem, bench: BenchMaker
) -> None:
    await bench("C 1", password="s3cret")
    assert central.headers[-1]["Authorization"] == "Basic QyAxOnMzY3JldA=="


async def test_a_pending_charger_boots_again() -> None:
    answers = iter(["Pending", "Accepted"])

    class Hesitant(CentralSystem):
        async def answer(self, link: Link, action: str, payload: Payload) -> Payload | None:
            answer = await super().answer(link, action, payload)
            if action == "BootNotification" and answer is not None:
                answer |= {"status": next(answers), "interval": 0.01}
            return answer

    async with Hesitant() as hesitant, Fleet(hesitant.url, 1) as chargers:
        await chargers.wait_until_booted()
        assert len(hesitant.calls("SIM-1", "BootNotification")) == 2


async def test_message_ids_are_the_same_from_the_same_seed(central: CentralSystem) -> None:
    async def ids(seed: int) -> list[str]:
        central.said.clear()
        async with Fleet(central.url, 1, seed=seed) as fleet:
            await fleet.wait_until_booted()
        return [frame[1] for _, frame in central.said if frame[0] == 2]

    assert (await ids(1))[:1] == (await ids(1))[:1] != (await ids(2))[:1]


async def test_200_chargers_boot_within_seconds(central: CentralSystem) -> None:
    async with Fleet(central.url, 200, version="2.0.1") as fleet:
        await fleet.wait_until_booted(within=10)
        assert len(central.links) == 200
