"""API keys: who is calling, until when, and what they may see."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from berth.database import RIGHTS, Directory
from berth.database.connections import Connections
from berth.database.tables import api_keys
from tests.directory.time_passes import age

BOOTSTRAP = "bootstrap-key-of-at-least-32-characters"


async def test_a_new_key_opens_with_its_rights_and_scope(directory: Directory, now: datetime) -> None:
    raw, key = await directory.keys.create(
        "fleet", ["reservations", "read"], site_ids={"north"}, charger_ids={3, 1}, flipturn=True
    )
    assert await directory.keys.authenticate(raw) == key
    assert (key.name, key.rights) == ("fleet", frozenset({"reservations", "read"}))
    assert (key.site_ids, key.charger_ids, key.flipturn) == (frozenset({"north"}), frozenset({1, 3}), True)
    assert abs(key.created_at - now) < timedelta(minutes=1)
    assert key.created_at.utcoffset() == timedelta(0)


async def test_a_key_without_scope_sees_all_and_an_empty_scope_nothing(directory: Directory) -> None:
    raw_all, _ = await directory.keys.create("all", ["read"])
    raw_none, _ = await directory.keys.create("none", ["read"], site_ids=[])
    everything, nothing = [await directory.keys.authenticate(raw) for raw in (raw_all, raw_none)]
    assert everything is not None
    assert nothing is not None
    assert (everything.site_ids, everything.charger_ids) == (None, None)
    assert nothing.site_ids == frozenset()


@pytest.mark.parametrize("raw", ["", "berth_unknown", "\ud800"])
async def test_an_unknown_key_is_nobody(directory: Directory, raw: str) -> None:
    assert await directory.keys.authenticate(raw) is None


async def test_an_unknown_right_is_refused(directory: Directory) -> None:
    with pytest.raises(ValueError, match="fly"):
        await directory.keys.create("x", ["read", "fly"])
    assert await directory.keys.all() == []


async def test_an_expired_key_is_nobody(directory: Directory, now: datetime) -> None:
    expired, _ = await directory.keys.create("a", ["read"], expires_at=now - timedelta(seconds=1))
    valid, key = await directory.keys.create("b", ["read"], expires_at=now + timedelta(hours=1))
    assert await directory.keys.authenticate(expired) is None
    assert await directory.keys.authenticate(valid) == key
    assert key.expires_at == now + timedelta(hours=1)


async def test_a_revoked_key_is_nobody_at_once_and_stays_listed(directory: Directory) -> None:
    raw, key = await directory.keys.create("a", ["read"])
    assert await directory.keys.revoke(key.id)
    assert await directory.keys.authenticate(raw) is None
    assert not await directory.keys.revoke(key.id)
    (listed,) = await directory.keys.all()
    assert listed.revoked_at is not None


async def test_the_bootstrap_key_is_made_once_and_stays_revoked(directory: Directory) -> None:
    await directory.keys.ensure_bootstrap(BOOTSTRAP)
    await directory.keys.ensure_bootstrap(BOOTSTRAP)
    (key,) = await directory.keys.all()
    assert await directory.keys.authenticate(BOOTSTRAP) == key
    assert (key.name, key.rights) == ("bootstrap", RIGHTS)
    assert (key.site_ids, key.charger_ids, key.flipturn) == (None, None, False)
    await directory.keys.revoke(key.id)
    await directory.keys.ensure_bootstrap(BOOTSTRAP)
    assert await directory.keys.authenticate(BOOTSTRAP) is None


async def test_no_row_holds_a_key(directory: Directory, connections: Connections) -> None:
    raw, _ = await directory.keys.create("a", ["read"])
    (row,) = await connections.query(sa.select(api_keys))
    assert not any(raw in str(value) for value in row)


async def test_a_key_is_found_by_its_id(directory: Directory) -> None:
    _, key = await directory.keys.create("a", ["read"])
    assert await directory.keys.by_id(key.id) == key
    assert await directory.keys.by_id(key.id + 1) is None


async def test_the_last_use_of_keys_is_noted_to_the_minute(
    directory: Directory, connections: Connections, now: datetime
) -> None:
    raw, used = await directory.keys.create("used", ["read"])
    _, idle = await directory.keys.create("idle", ["read"])
    await directory.keys.touch([])
    await directory.keys.touch({used.id, used.id + 100})
    first = await directory.keys.authenticate(raw)
    assert first is not None
    assert first.last_used_at is not None
    assert abs(first.last_used_at - now) < timedelta(minutes=1)
    await directory.keys.touch([used.id])
    assert await directory.keys.by_id(used.id) == first

    await age(connections, api_keys.c.last_used_at, timedelta(minutes=1))
    await directory.keys.touch([used.id])
    again = await directory.keys.by_id(used.id)
    assert again is not None
    assert again.last_used_at is not None
    assert again.last_used_at >= first.last_used_at
    assert await directory.keys.by_id(idle.id) == idle
