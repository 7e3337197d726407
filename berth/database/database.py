"""One database with what exists and where it is connected, and a repository for each concern."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from berth.database.api_keys import ApiKeys
from berth.database.capabilities import ChargerCapabilities
from berth.database.chargers import Chargers
from berth.database.clock import database_now
from berth.database.connections import Connections, address_of
from berth.database.deliveries import Deliveries
from berth.database.errors import SchemaError, UnreachableError
from berth.database.events import Events
from berth.database.idempotency import Idempotency
from berth.database.links import Links
from berth.database.message_log import Messages
from berth.database.password_changes import PasswordChanges
from berth.database.payload_keys import PayloadKeys
from berth.database.presences import Presences
from berth.database.schema import check_schema
from berth.database.subscriptions import EventSubscriptions
from berth.database.tokens import Tokens
from berth.database.transactions import Transactions
from berth.database.webhooks import Webhooks


def connect(url: sa.URL) -> Connections:
    """The connections to the database at `url`, opened on first use."""
    from berth.database.postgres import PostgresConnections
    from berth.database.sqlite import SqliteConnections

    return (SqliteConnections if url.get_backend_name() == "sqlite" else PostgresConnections)(url)


class Database:
    """Every method of its parts is one short transaction of its own; one Database serves a whole process.

    Every method raises UnreachableError when the database is away.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.chargers = Chargers(connections)
        self.capabilities = ChargerCapabilities(connections)
        self.password_changes = PasswordChanges(connections)
        self.keys = ApiKeys(connections)
        self.tokens = Tokens(connections)
        self.links = Links(connections)
        self.subscriptions = EventSubscriptions(connections)
        self.transactions = Transactions(connections)
        self.events = Events(connections)
        self.messages = Messages(connections)
        self.idempotency = Idempotency(connections)
        self.payload_keys = PayloadKeys(connections)
        self.webhooks = Webhooks(connections)
        self.deliveries = Deliveries(connections)
        self.presences = Presences(connections)

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the database at `url` (`sqlite:///path` or `postgresql+asyncpg://…`).

        Raises SchemaError when its schema is missing, older or newer than this release; UnreachableError.
        """
        address = address_of(url)
        if address.get_backend_name() == "sqlite" and not await asyncio.to_thread(_is_file, address):
            # SQLite would create an empty one.
            raise SchemaError(f"there is no database at {address.database}: migrate it first")
        connections = connect(address)
        try:
            await connections.transaction(check_schema)
        except BaseException:
            await connections.close()
            raise
        return cls(connections)

    async def close(self) -> None:
        """Close every connection; running statements end first."""
        await self._connections.close()

    async def ping(self) -> None:
        """Ask the database for its time. Raises UnreachableError."""
        await self._connections.query(sa.select(database_now()))

    async def is_reachable(self, within: timedelta) -> bool:
        """Whether the database answers."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self.ping()
        except (UnreachableError, TimeoutError):
            return False
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _is_file(url: sa.URL) -> bool:
    return url.database is not None and Path(url.database).is_file()
