"""Makes of chargers as the simulator plays them: reserved, cancelled, and heard of."""

import pytest

from berth.database import Capabilities, Charger, Database
from simulator import Fleet
from simulator.personality import Version, load_personality
from tests.gateway.commands import Commands
from tests.gateway.stack import Stack, Temporal, eventually, until
from workflows.messages import CancelStatus, ReserveStatus

MAKES: list[tuple[Version, str]] = [
    ("1.6", "specification"),
    ("1.6", "microocpp16"),
    ("1.6", "openocpp16"),
    ("1.6", "sap16"),
    ("1.6", "shiv3_16"),
    ("2.0.1", "specification"),
    ("2.0.1", "libocpp201"),
    ("2.0.1", "shiv3_201"),
]


@pytest.mark.parametrize(("version", "make"), MAKES)
async def test_a_reservation_is_accepted_shown_and_cancelled(
    stack: Stack, charger: Charger, temporal: Temporal, version: Version, make: str
) -> None:
    base = stack.url("").removesuffix("/")
    async with Fleet(base) as fleet:
        fleet.add("CP-1", version=version, personality=make)
        await stack.session()
        commands = Commands(stack, charger)
        assert (await commands.reserve()).status is ReserveStatus.ACCEPTED

        async def shows_reserved() -> bool:
            found = await stack.database.chargers.by_id(charger.id)
            return found is not None and any(port.status == "Reserved" for port in found.ports)

        assert await eventually(shows_reserved)
        assert (await commands.cancel()).status is CancelStatus.ACCEPTED
        await until(lambda: [event.status for event in temporal.said("port_status")][-1:] == ["Available"])


@pytest.mark.parametrize(("version", "make"), MAKES)
async def test_what_a_make_can_do_is_found_out(
    database: Database, temporal: Temporal, charger: Charger, version: Version, make: str
) -> None:
    async with (
        Stack(database, temporal, inquire_after=0.2) as stack,
        Fleet(stack.url("").removesuffix("/")) as fleet,
    ):
        fleet.add("CP-1", version=version, personality=make)

        async def capabilities() -> Capabilities | None:
            found = await database.chargers.by_id(charger.id)
            assert found is not None
            return found.capabilities if found.capabilities != Capabilities() else None

        known = await eventually(capabilities)
    assert known.reservations
    assert known.whole_charger is (load_personality(make).whole_charger != "Rejected")
