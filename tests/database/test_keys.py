"""API keys: who is calling, until when, and what they may see."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from berth.database import RIGHTS, Database
from berth.database.connections import Connections
from berth.database.tables import api_keys
from tests.database.time_passes import age

BOOTSTRAP = "bootstrap-key-of-at-least-32-characters"


async def test_a_new_key_opens_with_its_rights_and_scope(database: Database, now: datetime) -> None:
    raw, key = await database.keys.create(
        "fleet", ["reservations", "read"], site_ids={"north"}, charger_ids={3, 1}, flipturn=True
    )
    assert await database.keys.authenticate(raw) == key
    assert (key.name, key.rights) == ("fleet", frozenset({"reservations", "read"}))
    assert (key.site_ids, key.charger_ids, key.flipturn) == (frozenset({"north"}), frozenset({1, 3}), True)
    assert abs(key.created_at - now) < timedelta(minutes=1)
    assert key.created_at.utcoffset() == timedelta(0)


async def test_a_key_without_scope_sees_all_and_an_empty_scope_nothing(database: Database) -> None:
    raw_all, _ = await database.keys.create("all", ["read"])
    raw_none, _ = await database.keys.create("none", ["read"], site_ids=[])
    everything, nothing = [await database.keys.authenticate(raw) for raw in (raw_all, raw_none)]
    assert everything is not None
    assert nothing is not None
    assert (everything.site_ids, everything.charger_ids) == (None, None)
    assert nothing.site_ids == frozenset()


@pytest.mark.parametrize("raw", ["", "berth_unknown", "\ud800"])
async def test_an_unknown_key_is_nobody(database: Database, raw: str) -> None:
    assert await database.keys.authenticate(raw) is None


async def test_an_unknown_right_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="fly"):
        await database.keys.create("x", ["read", "fly"])
    assert await database.keys.all() == []


async def test_an_expired_key_is_nobody(database: Database, now: datetime) -> None:
    expired, _ = await database.keys.create("a", ["read"], expires_at=now - timedelta(seconds=1))
    valid, key = await database.keys.create("b", ["read"], expires_at=now + timedelta(hours=1))
    assert await database.keys.authenticate(expired) is None
    assert await database.keys.authenticate(valid) == key
    assert key.expires_at == now + timedelta(hours=1)


async def test_a_revoked_key_is_nobody_at_once_and_stays_listed(database: Database) -> None:
    raw, key = await database.keys.create("a", ["read"])
    assert await database.keys.revoke(key.id)
    assert await database.keys.authenticate(raw) is None
    assert not await database.keys.revoke(key.id)
    (listed,) = await database.keys.all()
    assert listed.revoked_at is not None


async def test_the_bootstrap_key_is_made_once_and_stays_revoked(database: Database) -> None:
    await database.keys.ensure_bootstrap(BOOTSTRAP)
    await database.keys.ensure_bootstrap(BOOTSTRAP)
    (key,) = await database.keys.all()
    assert await database.keys.authenticate(BOOTSTRAP) == key
    assert (key.name, key.rights) == ("bootstrap", RIGHTS)
    assert (key.site_ids, key.charger_ids, key.flipturn) == (None, None, False)
    await database.keys.revoke(key.id)
    await database.keys.ensure_bootstrap(BOOTSTRAP)
    assert await database.keys.authenticate(BOOTSTRAP) is None


async def test_no_row_holds_a_key(database: Database, connections: Connections) -> None:
    raw, _ = await database.keys.create("a", ["read"])
    (row,) = await connections.query(sa.select(api_keys))
    assert not any(raw in str(value) for value in row)


async def test_a_key_is_found_by_its_id(database: Database) -> None:
    _, key = await database.keys.create("a", ["read"])
    assert await database.keys.by_id(key.id) == key
    assert await database.keys.by_id(key.id + 1) is None


async def test_the_last_use_of_keys_is_noted_to_the_minute(
    database: Database, connections: Connections, now: datetime
) -> None:
    raw, used = await database.keys.create("used", ["read"])
    _, idle = await database.keys.create("idle", ["read"])
    await database.keys.touch([])
    await database.keys.touch({used.id, used.id + 100})
    first = await database.keys.authenticate(raw)
    assert first is not None
    assert first.last_used_at is not None
    assert abs(first.last_used_at - now) < timedelta(minutes=1)
    await database.keys.touch([used.id])
    assert await database.keys.by_id(used.id) == first

    await age(connections, api_keys.c.last_used_at, timedelta(minutes=1))
    await database.keys.touch([used.id])
    again = await database.keys.by_id(used.id)
    assert again is not None
    assert again.last_used_at is not None
    assert again.last_used_at >= first.last_used_at
    assert await database.keys.by_id(idle.id) == idle
