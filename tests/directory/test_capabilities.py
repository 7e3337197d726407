"""What chargers can do: said, shown, and forgotten with the firmware."""

from datetime import timedelta

import pytest

from berth.database import Capabilities, Charger, Directory
from berth.database.connections import Connections
from berth.database.tables import chargers
from tests.directory.time_passes import age


async def known(directory: Directory, charger: Charger) -> Capabilities:
    found = await directory.chargers.by_id(charger.id)
    assert found is not None
    return found.capabilities


async def test_nothing_is_known_of_a_new_charger(directory: Directory, charger: Charger) -> None:
    assert charger.capabilities == Capabilities(reservations=None, whole_charger=None)
    assert await directory.capabilities.is_due(charger.id)
    assert not await directory.capabilities.is_due(charger.id + 1)


async def test_a_charger_that_said_something_is_not_asked_again_within_the_hour(
    directory: Directory, charger: Charger, connections: Connections
) -> None:
    await directory.capabilities.said(charger.id, Capabilities(True, False))
    assert await known(directory, charger) == Capabilities(True, False)
    assert not await directory.capabilities.is_due(charger.id)
    await age(connections, chargers.c.capabilities_asked_at, timedelta(hours=1))
    assert await directory.capabilities.is_due(charger.id)


async def test_silence_counts_as_asked_and_takes_nothing_back(directory: Directory, charger: Charger) -> None:
    await directory.capabilities.said(charger.id, Capabilities(True, None))
    await directory.capabilities.said(charger.id, Capabilities(None, True))
    await directory.capabilities.said(charger.id, Capabilities())
    assert await known(directory, charger) == Capabilities(True, True)
    assert not await directory.capabilities.is_due(charger.id)


async def test_deeds_count_more_than_words(directory: Directory, charger: Charger) -> None:
    await directory.capabilities.said(charger.id, Capabilities(False, False))
    await directory.capabilities.showed(charger.id, Capabilities(reservations=True))
    assert await known(directory, charger) == Capabilities(True, False)
    await directory.capabilities.said(charger.id, Capabilities(False, False))
    assert await known(directory, charger) == Capabilities(True, False)
    await directory.capabilities.showed(charger.id, Capabilities(reservations=False))
    assert await known(directory, charger) == Capabilities(False, False)


async def test_another_firmware_is_another_charger(directory: Directory, charger: Charger) -> None:
    await directory.chargers.set_identity_facts(charger.id, "Maker", "Model", firmware_version="1.0")
    await directory.capabilities.said(charger.id, Capabilities(False, False))
    await directory.capabilities.showed(charger.id, Capabilities(whole_charger=True))
    for firmware_version in ("1.0", None):
        await directory.chargers.set_identity_facts(
            charger.id, "Maker", "Other", firmware_version=firmware_version
        )
        assert await known(directory, charger) == Capabilities(False, True)
        assert not await directory.capabilities.is_due(charger.id)
    await directory.chargers.set_identity_facts(charger.id, "Maker", "Model", firmware_version="1.1")
    assert await known(directory, charger) == Capabilities()
    assert await directory.capabilities.is_due(charger.id)


async def test_the_first_firmware_heard_of_is_the_one_that_was_asked(
    directory: Directory, charger: Charger
) -> None:
    await directory.capabilities.said(charger.id, Capabilities(True, True))
    await directory.chargers.set_identity_facts(charger.id, firmware_version="1.0")
    assert await known(directory, charger) == Capabilities(True, True)


@pytest.mark.parametrize("capabilities", [Capabilities(True, False), Capabilities()])
async def test_a_charger_that_was_removed_meanwhile_is_no_error(
    directory: Directory, charger: Charger, capabilities: Capabilities
) -> None:
    await directory.chargers.remove(charger.id)
    await directory.capabilities.said(charger.id, capabilities)
    await directory.capabilities.showed(charger.id, capabilities)
