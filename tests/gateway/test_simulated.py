"""Makes of chargers as the simulator plays them: reserved, cancelled, and heard of."""

import pytest

from directory import Charger
from simulator import Fleet
from simulator.personality import Version
from tests.gateway.commands import Commands
from tests.gateway.house import House, Temporal, until
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
    house: House, charger: Charger, temporal: Temporal, version: Version, make: str
) -> None:
    base = house.url("").removesuffix("/")
    async with Fleet(base) as fleet:
        fleet.add("CP-1", version=version, personality=make)
        await house.session()
        commands = Commands(house, charger)
        assert (await commands.reserve()).status is ReserveStatus.ACCEPTED
        await until(lambda: [event.status for event in temporal.said("port_status")][-1:] == ["Reserved"])
        assert (await commands.cancel()).status is CancelStatus.ACCEPTED
        await until(lambda: [event.status for event in temporal.said("port_status")][-1:] == ["Available"])
