"""A charger's passwords while one is changed: the one in force, and newer ones that it may have by now.

Its answer alone decides little: it may be lost, or mean "after the next reboot". So a newer password opens
until the charger plainly refuses it, and the older ones until it has connected with a newer one. A charger
never goes back: what it connects with ends all that is older, and nothing that is newer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.connections import Connections
from berth.database.passwords import hash_password
from berth.database.tables import chargers

MOST = 3
"""Newer passwords of one charger, the youngest: each is 10 ms more for the check of a wrong one."""

_PASSWORDS = (
    sa.select(chargers.c.password_hash, chargers.c.newer_password_hashes)
    .where(chargers.c.id == bindparam("key"))
    .with_for_update()
)


@dataclass(frozen=True, slots=True)
class Passwords:
    """Their hashes; `current` None: it may connect without, where the gateway's rules allow it."""

    current: str | None
    newer: tuple[str, ...] = ()

    def offered(self, password_hash: str) -> "Passwords":
        """The charger is about to receive this one."""
        return Passwords(self.current, (*self.newer, password_hash)[-MOST:])

    def refused(self, password_hash: str) -> "Passwords":
        """The charger did not take this one."""
        return Passwords(self.current, tuple(one for one in self.newer if one != password_hash))

    def used(self, password_hash: str) -> "Passwords":
        """The charger connects with this one."""
        if password_hash not in self.newer:
            return self
        return Passwords(password_hash, self.newer[self.newer.index(password_hash) + 1 :])


class PasswordChanges:
    """Changes of all chargers; `chargers.credentials` shows what opens, `chargers.update` ends a change."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def offer(self, charger_id: int, password: str) -> str | None:
        """Make this one valid too, before the charger receives it: its hash; None without such a charger."""
        password_hash = await asyncio.to_thread(hash_password, password)
        after = await self._change(charger_id, lambda before: before.offered(password_hash))
        return None if after is None else password_hash

    async def refuse(self, charger_id: int, password_hash: str) -> None:
        """The charger did not take it."""
        await self._change(charger_id, lambda before: before.refused(password_hash))

    async def use(self, charger_id: int, password_hash: str) -> bool:
        """The charger connects with it; False when it opens no more by now."""
        after = await self._change(charger_id, lambda before: before.used(password_hash))
        return after is not None and after.current == password_hash

    async def _change(self, charger_id: int, decide: Callable[[Passwords], Passwords]) -> Passwords | None:
        def work(connection: sa.Connection) -> Passwords | None:
            row = connection.execute(_PASSWORDS, {"key": charger_id}).first()
            if row is None:
                return None
            after = decide(Passwords(row.password_hash, tuple(row.newer_password_hashes or ())))
            connection.execute(
                sa.update(chargers)
                .where(chargers.c.id == charger_id)
                .values(password_hash=after.current, newer_password_hashes=list(after.newer) or None)
            )
            return after

        return await self._connections.transaction(work)
