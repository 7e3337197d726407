"""What exists and where it is connected: chargers, tokens, keys, sockets, listeners, events, messages.

Open it with `Directory.open(url)`; everything it gives back is a frozen record.
"""

from directory.clock import database_now
from directory.database import Directory
from directory.errors import AlreadyExists, DirectoryError, SchemaError, UnreachableError
from directory.records import (
    RIGHTS,
    TOKEN_STATUSES,
    ApiKey,
    Backlog,
    Capabilities,
    Charger,
    ChargerChanges,
    ChargerTarget,
    Credentials,
    Gateway,
    Link,
    LiveReservation,
    LoggedMessage,
    NewCharger,
    NewEvent,
    NewPort,
    Port,
    PortTarget,
    Recorded,
    StatusChange,
    StoredEvent,
    Token,
    Transaction,
)
from directory.schema import migrate, migrate_async

__all__ = [
    "RIGHTS",
    "TOKEN_STATUSES",
    "AlreadyExists",
    "ApiKey",
    "Backlog",
    "Capabilities",
    "Charger",
    "ChargerChanges",
    "ChargerTarget",
    "Credentials",
    "Directory",
    "DirectoryError",
    "Gateway",
    "Link",
    "LiveReservation",
    "LoggedMessage",
    "NewCharger",
    "NewEvent",
    "NewPort",
    "Port",
    "PortTarget",
    "Recorded",
    "SchemaError",
    "StatusChange",
    "StoredEvent",
    "Token",
    "Transaction",
    "UnreachableError",
    "database_now",
    "migrate",
    "migrate_async",
]
