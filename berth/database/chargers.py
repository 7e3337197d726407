"""Chargers and their ports: what exists, what it is called, and what it last reported."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, Unpack

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database import capabilities
from berth.database.clock import database_now, gateway_lives, is_ready, takes_commands
from berth.database.connections import Connections, Row, T
from berth.database.errors import AlreadyExists
from berth.database.events import is_waiting_for
from berth.database.passwords import hash_password
from berth.database.port_status import PortStatuses
from berth.database.records import (
    Capabilities,
    Charger,
    ChargerChanges,
    ChargerLook,
    ChargerTarget,
    Credentials,
    NewCharger,
    NewPort,
    Port,
    PortTarget,
)
from berth.database.tables import IDENTITY_LENGTH, chargers, gateways, links, ports

_FACTS = [
    "id",
    "ocpp_identity",
    "name",
    "site_id",
    "external_id",
    "manufacturer",
    "model",
    "serial_number",
    "firmware_version",
    "latitude",
    "longitude",
    "charger_type",
    "security_profile",
]
_PORT_FACTS = list(Port.__dataclass_fields__)

_CHARGERS = (
    sa.select(
        *(chargers.c[name] for name in _FACTS),
        chargers.c.password_hash.is_not(None).label("has_password"),
        chargers.c.newer_password_hashes.is_not(None).label("has_newer_password"),
        capabilities.reservations.label("reservations"),
        capabilities.whole_charger.label("whole_charger"),
        sa.func.coalesce(takes_commands, sa.false()).label("online"),
        sa.case(
            (takes_commands, links.c.ready_at),
            # Its gateway died without a word: the last heartbeat is the last that is known.
            (~gateway_lives, gateways.c.heartbeat_at),
            (gateways.c.draining_at.is_not(None), gateways.c.draining_at),
            else_=sa.func.coalesce(links.c.disconnected_at, links.c.connected_at),
        ).label("status_at"),
        links.c.protocol,
        *(ports.c[name].label(f"port_{name}") for name in _PORT_FACTS),
    )
    .select_from(chargers)
    .outerjoin(ports, ports.c.charger_id == chargers.c.id)
    .outerjoin(links, links.c.charger_id == chargers.c.id)
    .outerjoin(gateways, gateways.c.incarnation == links.c.incarnation)
    .order_by(chargers.c.id, ports.c.port_number)
)
_BY_ID = _CHARGERS.where(chargers.c.id == bindparam("key"))
_BY_IDENTITY = _CHARGERS.where(chargers.c.identity_key == bindparam("key"))
_BY_EXTERNAL_ID = _CHARGERS.where(chargers.c.external_id == bindparam("key"))
_PORT_TARGET = (
    sa.select(
        ports.c.id,
        ports.c.port_number,
        chargers.c.id,
        chargers.c.ocpp_identity,
        chargers.c.site_id,
        gateways.c.queue,
        sa.case((gateways.c.queue.is_not(None), links.c.epoch)),
    )
    .select_from(ports)
    .join(chargers, chargers.c.id == ports.c.charger_id)
    .outerjoin(links, links.c.charger_id == chargers.c.id)
    .outerjoin(gateways, is_ready)
    .where(ports.c.id == bindparam("key"))
)
_CHARGER_TARGET = (
    sa.select(
        chargers.c.id,
        chargers.c.ocpp_identity,
        chargers.c.site_id,
        gateways.c.queue,
        sa.case((gateways.c.queue.is_not(None), links.c.epoch)),
    )
    .select_from(chargers)
    .outerjoin(links, links.c.charger_id == chargers.c.id)
    .outerjoin(gateways, is_ready)
    .where(chargers.c.id == bindparam("key"))
)
_LOOK = (
    sa.select(
        gateways.c.queue,
        sa.case((gateways.c.queue.is_not(None), links.c.epoch)),
        sa.case((gateways.c.queue.is_not(None), links.c.protocol)),
        sa.case(
            (gateways.c.queue.is_not(None), database_now() - sa.type_coerce(links.c.ready_at, sa.Double))
        ),
        ports.c.status,
        ports.c.status_at,
        is_waiting_for,
    )
    .select_from(chargers)
    .outerjoin(links, links.c.charger_id == chargers.c.id)
    .outerjoin(gateways, is_ready)
    .outerjoin(
        ports,
        sa.and_(
            ports.c.charger_id == chargers.c.id,
            ports.c.port_number == bindparam("number", type_=sa.Integer),
        ),
    )
    .where(chargers.c.id == bindparam("charger"))
)
_CREDENTIALS = sa.select(
    chargers.c.id,
    chargers.c.password_hash,
    chargers.c.security_profile,
    chargers.c.newer_password_hashes,
).where(chargers.c.identity_key == bindparam("key"))
_REMOVE = sa.delete(chargers).where(chargers.c.id == bindparam("key")).returning(chargers.c.id)
_BOOT_FACTS = ("manufacturer", "model", "serial_number", "firmware_version")
_new_facts = {name: bindparam(f"new_{name}", type_=chargers.c[name].type) for name in _BOOT_FACTS}
_has_other_firmware = chargers.c.firmware_version != _new_facts["firmware_version"]
_SET_BOOT_FACTS = (
    sa.update(chargers)
    .where(chargers.c.id == bindparam("key"))
    .values({name: sa.func.coalesce(new, chargers.c[name]) for name, new in _new_facts.items()})
    .values(
        {
            name: sa.case((_has_other_firmware, sa.null()), else_=chargers.c[name])
            for name in capabilities.OF_ONE_FIRMWARE
        }
    )
)
_SITES = (
    sa.select(chargers.c.site_id)
    .where(chargers.c.site_id.is_not(None))
    .distinct()
    .order_by(chargers.c.site_id)
)


class Chargers(PortStatuses):
    """Every charger Berth knows."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._connections = connections

    async def add(self, new: NewCharger) -> Charger:
        """Add a charger with its ports.

        Raises AlreadyExists for an identity, an external id or a port number that is taken,
        ValueError for an identity that no charger can have.
        """
        values = {
            **_identity(new.ocpp_identity),
            "name": new.name,
            "site_id": new.site_id,
            "external_id": new.external_id,
            "latitude": new.latitude,
            "longitude": new.longitude,
            "charger_type": new.charger_type,
            "security_profile": new.security_profile,
            "password_hash": await _hashed(new.password),
            "created_at": database_now(),
        }

        def work(connection: sa.Connection) -> int:
            insert = sa.insert(chargers).values(values).returning(chargers.c.id)
            charger_id: int = connection.execute(insert).scalar_one()
            if new.ports:
                connection.execute(
                    sa.insert(ports), [{"charger_id": charger_id, **_settings(port)} for port in new.ports]
                )
            return charger_id

        return await self._existing(await self._unless_taken(work))

    async def register(self, ocpp_identity: str) -> Charger:
        """The charger of this identity, added now if it is new; its ports appear as it reports them."""
        identity = _identity(ocpp_identity)
        await self._connections.change(
            self._connections.insert(chargers)
            .values(**identity, created_at=database_now())
            .on_conflict_do_nothing(index_elements=["identity_key"])
        )
        return (await self._query(_BY_IDENTITY, key=identity["identity_key"]))[0]

    async def update(self, charger_id: int, **changes: Unpack[ChargerChanges]) -> Charger | None:
        """Change what is named; None when there is no such charger. Raises as `add` does."""
        values: dict[str, Any] = {**changes}
        new_ports: Sequence[NewPort] = values.pop("ports", ())
        if "ocpp_identity" in values:
            values |= _identity(values["ocpp_identity"])
        if "password" in values:
            values["password_hash"] = await _hashed(values.pop("password"))
            values["newer_password_hashes"] = None
        unknown = sorted(values.keys() - chargers.c.keys())
        if unknown:
            raise ValueError(f"a charger has no {', '.join(unknown)}")

        def work(connection: sa.Connection) -> bool:
            which = chargers.c.id == charger_id
            # The id is set to itself, for a change of the ports alone.
            update = sa.update(chargers).where(which).values({"id": charger_id, **values})
            if connection.execute(update.returning(chargers.c.id)).first() is None:
                return False
            for port in new_ports:
                settings = _settings(port)
                connection.execute(
                    self._connections.insert(ports)
                    .values(charger_id=charger_id, **settings)
                    .on_conflict_do_update(index_elements=["charger_id", "port_number"], set_=settings)
                )
            return True

        found = await self._unless_taken(work)
        return await self.by_id(charger_id) if found else None

    async def remove(self, charger_id: int) -> bool:
        """Remove a charger, its ports and its link; its id is never given again. False if there was none."""
        return bool(await self._connections.change(_REMOVE, key=charger_id))

    async def by_id(self, charger_id: int) -> Charger | None:
        """The charger with this id."""
        return await self._one(_BY_ID, key=charger_id)

    async def by_identity(self, ocpp_identity: str) -> Charger | None:
        """The charger with this name in its socket's URL, whatever its case."""
        return await self._one(_BY_IDENTITY, key=ocpp_identity.casefold())

    async def by_external_id(self, external_id: str) -> Charger | None:
        """The charger with this id in the caller's own books."""
        return await self._one(_BY_EXTERNAL_ID, key=external_id)

    async def all(
        self,
        site_ids: Collection[str] | None = None,
        charger_ids: Collection[int] | None = None,
        limit: int = 500,
        after_id: int = 0,
    ) -> list[Charger]:
        """Chargers by id, at most `limit`, after `after_id`; a scope of None means all."""
        page = sa.select(chargers.c.id).where(chargers.c.id > after_id).order_by(chargers.c.id).limit(limit)
        if site_ids is not None:
            page = page.where(chargers.c.site_id.in_(site_ids))
        if charger_ids is not None:
            page = page.where(chargers.c.id.in_(charger_ids))
        return await self._query(_CHARGERS.where(chargers.c.id.in_(page)))

    async def sites(self) -> list[str]:
        """The site ids that chargers have, in order."""
        return [row.site_id for row in await self._connections.query(_SITES)]

    async def port_target(self, port_id: int) -> PortTarget | None:
        """Where a command for this port goes; None when there is no such port."""
        rows = await self._connections.lookup(_PORT_TARGET, key=port_id)
        return PortTarget(*rows[0]) if rows else None

    async def charger_target(self, charger_id: int) -> ChargerTarget | None:
        """Where a command for this charger as a whole goes; None when there is no such charger."""
        rows = await self._connections.lookup(_CHARGER_TARGET, key=charger_id)
        return ChargerTarget(*rows[0]) if rows else None

    async def look(self, charger_id: int, port_number: int | None, workflow_id: str) -> ChargerLook | None:
        """The charger, its socket and one of its ports, in one statement; None for an unknown charger."""
        rows = await self._connections.lookup(
            _LOOK, charger=charger_id, number=port_number, workflow=workflow_id
        )
        if not rows:
            return None
        queue, epoch, protocol, ready_for, status, status_at, events_waiting = rows[0]
        return ChargerLook(
            queue,
            epoch,
            protocol,
            None if ready_for is None else timedelta(seconds=max(0.0, ready_for)),
            status,
            status_at,
            bool(events_waiting),
        )

    async def credentials(self, ocpp_identity: str) -> Credentials | None:
        """What a charger of this identity must show; None when it is unknown."""
        rows = await self._connections.lookup(_CREDENTIALS, key=ocpp_identity.casefold())
        if not rows:
            return None
        charger_id, password_hash, security_profile, newer = rows[0]
        return Credentials(charger_id, password_hash, security_profile, tuple(newer or ()))

    async def set_identity_facts(
        self,
        charger_id: int,
        manufacturer: str | None = None,
        model: str | None = None,
        serial_number: str | None = None,
        firmware_version: str | None = None,
    ) -> None:
        """Keep what a BootNotification says; None keeps what is known.

        Another firmware version than before makes the charger's capabilities unknown.
        """
        await self._connections.change(
            _SET_BOOT_FACTS,
            key=charger_id,
            new_manufacturer=manufacturer,
            new_model=model,
            new_serial_number=serial_number,
            new_firmware_version=firmware_version,
        )

    async def _query(self, statement: sa.Select[Any], **parameters: object) -> list[Charger]:
        rows = await self._connections.query(statement, **parameters)
        return [_charger(list(of_one)) for _, of_one in groupby(rows, key=lambda row: row.id)]

    async def _one(self, statement: sa.Select[Any], **parameters: object) -> Charger | None:
        rows = await self._connections.lookup(statement, **parameters)
        return _charger(list(rows)) if rows else None

    async def _existing(self, charger_id: int) -> Charger:
        return (await self._query(_BY_ID, key=charger_id))[0]

    async def _unless_taken(self, work: Callable[[sa.Connection], T]) -> T:
        try:
            return await self._connections.transaction(work)
        except sa.exc.IntegrityError as error:
            raise AlreadyExists(_taken_field(error)) from error


def _charger(rows: list[Row]) -> Charger:
    values = rows[0]._mapping
    return Charger(
        **{name: values[name] for name in _FACTS},
        has_password=bool(values["has_password"]),
        has_newer_password=bool(values["has_newer_password"]),
        online=bool(values["online"]),
        status_at=values["status_at"],
        protocol=values["protocol"],
        ports=tuple(
            Port(**{name: row._mapping[f"port_{name}"] for name in _PORT_FACTS})
            for row in rows
            if row.port_id is not None
        ),
        capabilities=Capabilities(values["reservations"], values["whole_charger"]),
    )


def _identity(ocpp_identity: str) -> dict[str, str]:
    if not 1 <= len(ocpp_identity) <= IDENTITY_LENGTH:
        raise ValueError(f"ocpp_identity: must have 1 to {IDENTITY_LENGTH} characters")
    return {"ocpp_identity": ocpp_identity, "identity_key": ocpp_identity.casefold()}


def _settings(port: NewPort) -> dict[str, object]:
    return {
        "port_number": port.port_number,
        "plug_type": port.plug_type,
        "maximum_power_kw": port.maximum_power_kw,
        "name": port.name,
    }


async def _hashed(password: str | None) -> str | None:
    return None if password is None else await asyncio.to_thread(hash_password, password)


def _taken_field(error: sa.exc.IntegrityError) -> str:
    # SQLite names the column (chargers.external_id), PostgreSQL the constraint (uq_chargers_external_id).
    problem = str(error.orig).partition("\n")[0]
    for column, field in (
        ("identity_key", "ocpp_identity"),
        ("external_id", "external_id"),
        ("port_number", "port_number"),
    ):
        if column in problem:
            return field
    raise error
