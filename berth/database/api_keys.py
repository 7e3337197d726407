"""API keys: shown once, kept as a SHA-256 hash (they are random, so a slow hash adds nothing)."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections, Row
from berth.database.records import RIGHTS, ApiKey
from berth.database.tables import api_keys

BOOTSTRAP_NAME = "bootstrap"

_NOTED_EVERY = timedelta(minutes=1)

_columns = [api_keys.c[name] for name in ApiKey.__dataclass_fields__]

_AUTHENTICATE = sa.select(*_columns).where(
    api_keys.c.key_hash == bindparam("hash"),
    api_keys.c.revoked_at.is_(None),
    sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > database_now()),
)
_ALL = sa.select(*_columns).order_by(api_keys.c.id)
_BY_ID = sa.select(*_columns).where(api_keys.c.id == bindparam("key_id"))
_REVOKE = (
    sa.update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=database_now())
    .returning(api_keys.c.id)
)
_TOUCH = (
    sa.update(api_keys)
    .where(
        api_keys.c.id.in_(bindparam("key_ids", expanding=True)),
        sa.or_(
            api_keys.c.last_used_at.is_(None),
            api_keys.c.last_used_at <= database_now() - _NOTED_EVERY.total_seconds(),
        ),
    )
    .values(last_used_at=database_now())
)


class ApiKeys:
    """The keys of the API's callers."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def create(
        self,
        name: str,
        rights: Collection[str],
        site_ids: Collection[str] | None = None,
        charger_ids: Collection[int] | None = None,
        flipturn: bool = False,
        expires_at: datetime | None = None,
    ) -> tuple[str, ApiKey]:
        """A new key and its record; the key is not kept. Raises ValueError for an unknown right.

        A scope of None means all; with both scopes given a charger must be in both.
        """
        unknown = sorted(set(rights) - RIGHTS)
        if unknown:
            raise ValueError(f"unknown rights: {', '.join(unknown)}")
        raw_key = "berth_" + secrets.token_urlsafe(32)
        statement = self._insert(raw_key, name, rights).values(
            site_ids=None if site_ids is None else sorted(site_ids),
            charger_ids=None if charger_ids is None else sorted(charger_ids),
            flipturn=flipturn,
            expires_at=expires_at,
        )
        rows = await self._connections.change(statement.returning(*_columns))
        return raw_key, _api_key(rows[0])

    async def authenticate(self, raw_key: str) -> ApiKey | None:
        """Whose key this is; None when it is unknown, revoked or expired."""
        rows = await self._connections.lookup(_AUTHENTICATE, hash=_hash(raw_key))
        return _api_key(rows[0]) if rows else None

    async def ensure_bootstrap(self, raw_key: str) -> None:
        """Create this very key, all rights everywhere, unless it exists; once revoked it stays revoked."""
        statement = self._insert(raw_key, BOOTSTRAP_NAME, RIGHTS).values(flipturn=False)
        await self._connections.change(statement.on_conflict_do_nothing(index_elements=["key_hash"]))

    async def all(self) -> list[ApiKey]:
        """Every key, revoked and expired ones too, oldest first."""
        return [_api_key(row) for row in await self._connections.query(_ALL)]

    async def by_id(self, key_id: int) -> ApiKey | None:
        """The key with this id, revoked and expired ones too."""
        rows = await self._connections.query(_BY_ID, key_id=key_id)
        return _api_key(rows[0]) if rows else None

    async def touch(self, key_ids: Collection[int]) -> None:
        """These keys were used just now; noted once a minute each, so callers collect them meanwhile."""
        if key_ids:
            await self._connections.change(_TOUCH, key_ids=sorted(key_ids))

    async def revoke(self, key_id: int) -> bool:
        """End a key at once; False when there is no such key, or it was revoked before."""
        return bool(await self._connections.change(_REVOKE, key_id=key_id))

    def _insert(self, raw_key: str, name: str, rights: Collection[str]) -> Any:
        return self._connections.insert(api_keys).values(
            name=name, key_hash=_hash(raw_key), rights=sorted(rights), created_at=database_now()
        )


def _hash(raw_key: str) -> str:
    return hashlib.sha256(raw_key.encode(errors="surrogatepass")).hexdigest()


def _api_key(row: Row) -> ApiKey:
    values = row._asdict()
    for scope in ("site_ids", "charger_ids"):
        values[scope] = None if values[scope] is None else frozenset(values[scope])
    return ApiKey(**{**values, "rights": frozenset(values["rights"])})
