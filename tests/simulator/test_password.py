"""A simulated charger takes a new password, and shows it on its next socket."""

import pytest

from simulator.memory import ObjectMemory
from simulator.personality import Personality, Version
from tests.simulator.central_system import Payload
from tests.simulator.conftest import BenchMaker
from tests.simulator.until import until

NEW = b"exactly 20 bytes it "
VERSIONS = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


def command(version: Version, password: bytes) -> tuple[str, Payload]:
    if version == "1.6":
        return "ChangeConfiguration", {"key": "AuthorizationKey", "value": password.hex()}
    wanted = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeValue": password.decode(),
    }
    return "SetVariables", {"setVariableData": [wanted]}


def status(version: Version, answer: Payload) -> str:
    said: str = answer["status"] if version == "1.6" else answer["setVariableResult"][0]["attributeStatus"]
    return said


@VERSIONS
async def test_it_reconnects_with_it_and_keeps_it_over_a_loss_of_power(
    bench: BenchMaker, version: Version
) -> None:
    memory = ObjectMemory()
    b = await bench(version=version, password="old", memory=memory)
    first = b.link
    assert status(version, await first.call(*command(version, NEW))) == "Accepted"
    await until(lambda: b.central.links[b.charger.identity] is not first)
    assert b.charger.password == NEW
    assert (memory.load() or {})["password"] == NEW.hex()


@VERSIONS
async def test_a_personality_refuses_or_waits_for_the_next_restart(
    bench: BenchMaker, version: Version
) -> None:
    refuses = Personality(name="made-up", description="", password_change="Rejected")
    b = await bench(version=version, password="old", personality=refuses)
    assert status(version, await b.link.call(*command(version, NEW))) == "Rejected"
    await b.charger.reboot()
    assert b.charger.password == b"old"

    waits = Personality(name="made-up", description="", password_change="RebootRequired")
    b = await bench("CP-2", version=version, password="old", personality=waits)
    assert status(version, await b.link.call(*command(version, NEW))) == "RebootRequired"
    assert b.charger.password == b"old"
    await b.charger.reboot()
    assert b.charger.password == NEW


@VERSIONS
async def test_one_that_is_too_short_is_refused(bench: BenchMaker, version: Version) -> None:
    b = await bench(version=version)
    assert status(version, await b.link.call(*command(version, b"short"))) == "Rejected"


async def test_it_is_not_to_be_read(bench: BenchMaker) -> None:
    b = await bench(password="old")
    answer = await b.link.call("GetConfiguration", {"key": ["AuthorizationKey"]})
    assert answer["unknownKey"] == ["AuthorizationKey"]
