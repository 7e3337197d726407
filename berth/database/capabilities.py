"""What chargers can do: by their own word, and by what their answers showed. Deeds count more than words.

Both belong to one firmware: `chargers.set_identity_facts` forgets them when it changes.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections
from berth.database.records import Capabilities
from berth.database.tables import chargers

ASKED_ANEW_AFTER = timedelta(hours=1)
"""Some chargers boot with every connection: they are not asked with each."""

OF_ONE_FIRMWARE = (
    "said_reservations",
    "said_whole_charger",
    "showed_reservations",
    "showed_whole_charger",
    "capabilities_asked_at",
)
"""The columns that say nothing of another firmware."""

reservations = sa.func.coalesce(chargers.c.showed_reservations, chargers.c.said_reservations)
whole_charger = sa.func.coalesce(chargers.c.showed_whole_charger, chargers.c.said_whole_charger)

_this = chargers.c.id == bindparam("charger")
_IS_DUE = sa.select(chargers.c.id).where(
    _this,
    sa.or_(
        chargers.c.capabilities_asked_at.is_(None),
        chargers.c.capabilities_asked_at <= database_now() - ASKED_ANEW_AFTER.total_seconds(),
    ),
)


def _kept_unless_known(prefix: str) -> dict[str, sa.ColumnElement[bool]]:
    return {
        f"{prefix}_{name}": sa.func.coalesce(
            bindparam(f"new_{name}", type_=sa.Boolean), chargers.c[f"{prefix}_{name}"]
        )
        for name in ("reservations", "whole_charger")
    }


_SAID = sa.update(chargers).where(_this).values(capabilities_asked_at=database_now())
_SAID = _SAID.values(_kept_unless_known("said"))
_SHOWED = sa.update(chargers).where(_this).values(_kept_unless_known("showed"))


class ChargerCapabilities:
    """The capabilities of all chargers; `Charger.capabilities` shows them."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def is_due(self, charger_id: int) -> bool:
        """Whether to ask this charger: it has not been within the hour, or never with its firmware."""
        return bool(await self._connections.query(_IS_DUE, charger=charger_id))

    async def said(self, charger_id: int, capabilities: Capabilities) -> None:
        """The charger was asked, and said this; what it left unknown stays as it was."""
        await self._change(_SAID, charger_id, capabilities)

    async def showed(self, charger_id: int, capabilities: Capabilities) -> None:
        """The charger's answer to a command proves this; what it leaves unknown stays as it was."""
        await self._change(_SHOWED, charger_id, capabilities)

    async def _change(self, statement: sa.Update, charger_id: int, capabilities: Capabilities) -> None:
        await self._connections.change(
            statement,
            charger=charger_id,
            new_reservations=capabilities.reservations,
            new_whole_charger=capabilities.whole_charger,
        )
