"""The HTTP control, through its client."""

from collections.abc import AsyncIterator

import pytest

from simulator import Fleet, console
from simulator.console import ControlError
from tests.simulator.central_system import CentralSystem
from tests.simulator.conftest import Bench
from tests.simulator.until import until


@pytest.fixture
async def controlled(central: CentralSystem) -> AsyncIterator[Fleet]:
    async with Fleet(central.url, 2, control_port=0, restart_seconds=0.02) as fleet:
        await fleet.wait_until_booted()
        yield fleet


def url(fleet: Fleet) -> str:
    assert fleet.control_url is not None
    return fleet.control_url


async def test_the_control_lists_chargers(controlled: Fleet) -> None:
    found = await console.chargers(url(controlled))
    assert [charger["identity"] for charger in found] == ["SIM-1", "SIM-2"]
    assert all(charger["connected"] for charger in found)


async def test_the_control_shows_one_charger(central: CentralSystem, controlled: Fleet) -> None:
    await Bench(central, controlled["SIM-1"]).reserve(5)
    charger = await console.charger("SIM-1", url(controlled))
    assert charger["ports"][0]["status"] == "Reserved"
    assert charger["reservations"][0]["reservation_id"] == 5
    assert any("ReserveNow" in frame["text"] for frame in charger["frames"])


async def test_a_driver_can_be_played_from_outside(central: CentralSystem, controlled: Fleet) -> None:
    await console.send(url(controlled), "SIM-1", "plug_in", port=1)
    state = await console.send(url(controlled), "SIM-1", "swipe", port=1, id_tag="TAG-A")
    assert state["result"] is True
    await until(lambda: central.calls("SIM-1", "StartTransaction"))
    state = await console.send(url(controlled), "SIM-1", "stop", port=1)
    assert state["ports"][0]["status"] == "Available"


async def test_a_wrong_can_be_ordered_from_outside(central: CentralSystem, controlled: Fleet) -> None:
    await console.send(url(controlled), "SIM-1", "call_error_next", code="SecurityError")
    assert await Bench(central, controlled["SIM-1"]).reserve(1) == "SecurityError"


async def test_a_wrong_of_another_command_than_a_reservation_can_be_ordered(
    central: CentralSystem, controlled: Fleet
) -> None:
    await console.send(url(controlled), "SIM-1", "call_error_next", action="ClearCache")
    assert await Bench(central, controlled["SIM-1"]).reserve(1) == "Accepted"
    assert (await central.links["SIM-1"].ask("ClearCache", {}))[0] == 4


@pytest.mark.parametrize("action", ["disconnect", "drop", "reboot", "fault", "silence", "behave"])
async def test_every_kind_of_trouble_can_be_ordered(controlled: Fleet, action: str) -> None:
    arguments = {"port": 1} if action == "fault" else {}
    state = await console.send(url(controlled), "SIM-2", action, **arguments)
    assert state["identity"] == "SIM-2"


@pytest.mark.parametrize(
    ("identity", "action", "arguments", "words"),
    [
        ("SIM-9", "plug_in", {"port": 1}, "no such charger"),
        ("SIM-1", "explode", {}, "no action explode"),
        ("SIM-1", "plug_in", {"port": 9}, "has no port 9"),
        ("SIM-1", "plug_in", {"port": "one"}, "^port must be a valid integer, got 'one'$"),
        ("SIM-1", "silence", {"seconds": 4}, "^silence has no seconds: it takes on$"),
        ("SIM-1", "reconnect", {"in": 4}, "^reconnect has no in: it takes nothing$"),
        ("SIM-1", "start", {}, "^start needs id_tag: it takes id_tag, port, id_tag_type$"),
        ("SIM-1", "late_next", {"kind": "late"}, "^late_next has no kind: it takes action"),
    ],
)
async def test_a_senseless_order_is_refused_with_its_reason(
    controlled: Fleet, identity: str, action: str, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ControlError, match=words):
        await console.send(url(controlled), identity, action, **arguments)


async def test_a_control_that_is_not_there_is_named() -> None:
    with pytest.raises(ControlError, match="no answer from"):
        await console.chargers("http://127.0.0.1:1")
