"""The keys that payloads are encrypted with, as long as somebody may need them."""

from berth.database import Directory


async def test_a_key_that_was_used_once_is_kept(directory: Directory) -> None:
    assert await directory.payload_keys.all() == {}
    await directory.payload_keys.enter("old", "1" * 64)
    await directory.payload_keys.enter("new", "2" * 64)
    assert await directory.payload_keys.all() == {"old": "1" * 64, "new": "2" * 64}


async def test_a_known_key_stays_as_it_is(directory: Directory) -> None:
    await directory.payload_keys.enter("key", "1" * 64)
    await directory.payload_keys.enter("key", "2" * 64)
    assert await directory.payload_keys.all() == {"key": "1" * 64}


async def test_a_retired_key_is_needed_no_more(directory: Directory) -> None:
    await directory.payload_keys.enter("key", "1" * 64)
    assert await directory.payload_keys.retire("key")
    assert await directory.payload_keys.all() == {}
    assert not await directory.payload_keys.retire("key")
