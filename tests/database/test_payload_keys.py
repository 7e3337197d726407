"""The keys that payloads are encrypted with, as long as somebody may need them."""

from berth.database import Database


async def test_a_key_that_was_used_once_is_kept(database: Database) -> None:
    assert await database.payload_keys.all() == {}
    await database.payload_keys.enter("old", "1" * 64)
    await database.payload_keys.enter("new", "2" * 64)
    assert await database.payload_keys.all() == {"old": "1" * 64, "new": "2" * 64}


async def test_a_known_key_stays_as_it_is(database: Database) -> None:
    await database.payload_keys.enter("key", "1" * 64)
    await database.payload_keys.enter("key", "2" * 64)
    assert await database.payload_keys.all() == {"key": "1" * 64}


async def test_a_retired_key_is_needed_no_more(database: Database) -> None:
    await database.payload_keys.enter("key", "1" * 64)
    assert await database.payload_keys.retire("key")
    assert await database.payload_keys.all() == {}
    assert not await database.payload_keys.retire("key")
