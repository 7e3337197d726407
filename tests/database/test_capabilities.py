"""What chargers can do: said, shown, and forgotten with the firmware."""

from datetime import timedelta

import pytest

from berth.database import Capabilities, Charger, Database
from berth.database.connections import Connections
from berth.database.tables import chargers
from tests.database.time_passes import age


async def known(database: Database, charger: Charger) -> Capabilities:
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    return found.capabilities


async def test_nothing_is_known_of_a_new_charger(database: Database, charger: Charger) -> None:
    assert charger.capabilities == Capabilities(reservations=None, whole_charger=None)
    assert await database.capabilities.is_due(charger.id)
    assert not await database.capabilities.is_due(charger.id + 1)


async def test_a_charger_that_said_something_is_not_asked_again_within_the_hour(
    database: Database, charger: Charger, connections: Connections
) -> None:
    await database.capabilities.said(charger.id, Capabilities(True, False))
    assert await known(database, charger) == Capabilities(True, False)
    assert not await database.capabilities.is_due(charger.id)
    await age(connections, chargers.c.capabilities_asked_at, timedelta(hours=1))
    assert await database.capabilities.is_due(charger.id)


async def test_silence_counts_as_asked_and_takes_nothing_back(database: Database, charger: Charger) -> None:
    await database.capabilities.said(charger.id, Capabilities(True, None))
    await database.capabilities.said(charger.id, Capabilities(None, True))
    await database.capabilities.said(charger.id, Capabilities())
    assert await known(database, charger) == Capabilities(True, True)
    assert not await database.capabilities.is_due(charger.id)


async def test_deeds_count_more_than_words(database: Database, charger: Charger) -> None:
    await database.capabilities.said(charger.id, Capabilities(False, False))
    await database.capabilities.showed(charger.id, Capabilities(reservations=True))
    assert await known(database, charger) == Capabilities(True, False)
    await database.capabilities.said(charger.id, Capabilities(False, False))
    assert await known(database, charger) == Capabilities(True, False)
    await database.capabilities.showed(charger.id, Capabilities(reservations=False))
    assert await known(database, charger) == Capabilities(False, False)


async def test_another_firmware_is_another_charger(database: Database, charger: Charger) -> None:
    await database.chargers.set_identity_facts(charger.id, "Maker", "Model", firmware_version="1.0")
    await database.capabilities.said(charger.id, Capabilities(False, False))
    await database.capabilities.showed(charger.id, Capabilities(whole_charger=True))
    for firmware_version in ("1.0", None):
        await database.chargers.set_identity_facts(
            charger.id, "Maker", "Other", firmware_version=firmware_version
        )
        assert await known(database, charger) == Capabilities(False, True)
        assert not await database.capabilities.is_due(charger.id)
    await database.chargers.set_identity_facts(charger.id, "Maker", "Model", firmware_version="1.1")
    assert await known(database, charger) == Capabilities()
    assert await database.capabilities.is_due(charger.id)


async def test_the_first_firmware_heard_of_is_the_one_that_was_asked(
    database: Database, charger: Charger
) -> None:
    await database.capabilities.said(charger.id, Capabilities(True, True))
    await database.chargers.set_identity_facts(charger.id, firmware_version="1.0")
    assert await known(database, charger) == Capabilities(True, True)


@pytest.mark.parametrize("capabilities", [Capabilities(True, False), Capabilities()])
async def test_a_charger_that_was_removed_meanwhile_is_no_error(
    database: Database, charger: Charger, capabilities: Capabilities
) -> None:
    await database.chargers.remove(charger.id)
    await database.capabilities.said(charger.id, capabilities)
    await database.capabilities.showed(charger.id, capabilities)
