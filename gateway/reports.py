"""What one charger reports, in Berth's own terms: written to the database, passed on to workflows.

Handlers of both OCPP versions translate into these calls. A failing database raises; nothing else does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from berth.database import (
    Capabilities,
    Charger,
    Database,
    EventSubscription,
    NewEvent,
    ReportedStart,
    StatusChange,
    Transaction,
)
from berth.settings import Settings
from gateway import charger_events as events
from gateway.attribution import Start, attribute, is_id_live, is_known, rivals, same_token
from gateway.charger_events import Outbox
from workflows.messages import (
    ChargerBooted,
    PortStatusChanged,
    ReservationEnded,
    TransactionEnded,
    TransactionStarted,
)

log = structlog.get_logger(__name__)

ACCEPTED, BLOCKED, INVALID = "Accepted", "Blocked", "Invalid"
RESERVED = "Reserved"

# Of what a charger may call a port; also the bound on what one socket makes us remember and create.
_LARGEST_PORT_NUMBER = 99
_LARGEST_CONNECTOR_ID = 9


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """How Authorize answers a token."""

    status: str
    parent_id_tag: str | None = None


@dataclass(frozen=True, slots=True)
class PortReport:
    """What a charger says of one connector; `connector_id` is 1 on OCPP 1.6, where connectors are ports."""

    port_number: int
    connector_id: int
    status: str
    error_code: str | None = None
    vendor_error_code: str | None = None
    info: str | None = None


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """A transaction that starts, or says more of itself; `started_at` is the charger's own time."""

    port_number: int
    id_tag: str | None = None
    started_at: datetime | None = None
    meter_start: float | None = None
    reservation_id: int | None = None
    ocpp_transaction_id: str | None = None  # 2.0.1; on 1.6 Berth gives the id
    offline: bool | None = None  # None: OCPP 1.6, which has no word for it


@dataclass(frozen=True, slots=True)
class TransactionEndReport:
    """A transaction that ended, named by Berth's id (1.6) or the charger's (2.0.1)."""

    transaction_id: int | None = None
    ocpp_transaction_id: str | None = None
    port_number: int | None = None
    ended_at: datetime | None = None
    meter_stop: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outage:
    """When the charger had no socket, before its present one: by this process's clock."""

    began_at: datetime
    ended_at: datetime

    def covers(self, instant: datetime | None) -> bool:
        """Whether it lasted at this instant."""
        return instant is not None and self.began_at <= instant <= self.ended_at


class ChargerReports:
    """Takes the reports of one charger's socket; `known` is what the database has, it is not written again.

    `on_boot` is called with every BootNotification, once it is stored. `outage`: None for a charger's first
    socket.
    """

    def __init__(
        self,
        charger: Charger,
        database: Database,
        settings: Settings,
        outbox: Outbox,
        known: Iterable[PortReport] = (),
        outage: Outage | None = None,
        on_boot: Callable[[], None] = lambda: None,
    ) -> None:
        self.charger_id = charger.id
        self.outbox = outbox
        self._database = database
        self._settings = settings
        self._facts = (charger.manufacturer, charger.model, charger.serial_number, charger.firmware_version)
        self._has_absurd_ports = False
        self._ports = {(report.port_number, report.connector_id): report for report in known}
        self._reported: set[tuple[int, int]] = set()  # since the socket began, or the last boot
        self._outage = outage
        self._on_boot = on_boot
        self._showed = Capabilities()

    async def booted(
        self,
        manufacturer: str | None,
        model: str | None,
        serial_number: str | None,
        firmware_version: str | None,
    ) -> None:
        """BootNotification: keep its facts, send it to every subscriber."""
        facts = (manufacturer or "", model or "", serial_number, firmware_version)
        if facts != self._facts:
            await self._database.chargers.set_identity_facts(self.charger_id, *facts)
            self._facts = facts
            self._showed = Capabilities()
        booted = ChargerBooted(at=_now())
        await self.outbox.put([(subscriber, booted) for subscriber in await self.outbox.subscribers()])
        self._reported.clear()
        self._on_boot()

    async def showed(self, capabilities: Capabilities) -> None:
        """An answer to a command proves what the charger can do; a repeat is not written again."""
        showed = self._showed.updated(capabilities)
        if showed != self._showed:
            await self._database.capabilities.showed(self.charger_id, capabilities)
            self._showed = showed

    async def port_status(self, report: PortReport) -> None:
        """A connector's status: sent when it changes that of its port, except to Reserved.

        The first report since the socket began, or since a boot, is sent whatever it says: it shows what an
        outage or a restart left of a reservation.
        """
        if not (
            0 <= report.port_number <= _LARGEST_PORT_NUMBER
            and 0 <= report.connector_id <= _LARGEST_CONNECTOR_ID
        ):
            if not self._has_absurd_ports:  # once is enough to know, however many there are
                self._has_absurd_ports = True
                log.warning("port_number_ignored", charger_id=self.charger_id, port_number=report.port_number)
            return
        place = (report.port_number, report.connector_id)
        is_first = place not in self._reported
        if self._ports.get(place) == report:
            if is_first:
                await self._unchanged(report.port_number)
        else:
            await self._changed(report, is_first)
            self._ports[place] = report
        self._reported.add(place)

    async def _unchanged(self, port_number: int) -> None:
        """Nothing is written for a status that is known, and looked up only for those who get it."""
        concerned = events.of_port(await self.outbox.subscribers(), port_number)
        status = await self._database.chargers.status_of(self.charger_id, port_number) if concerned else None
        if status is not None:
            event = PortStatusChanged(at=_now(), port_number=port_number, before=status, status=status)
            await self.outbox.put([(subscriber, event) for subscriber in concerned])

    async def _changed(self, report: PortReport, is_first: bool) -> None:
        at = _now()
        # Reserved is what subscribers expect: sending it would cost more than anything else about it.
        is_sent = is_first or report.status != RESERVED
        subscribers = await self.outbox.subscribers() if is_sent else []
        new_events: list[NewEvent] = []

        def events_for(change: StatusChange) -> list[NewEvent]:
            if change.after == RESERVED and not is_first:
                return []
            event = PortStatusChanged(
                at=at, port_number=change.port_number, status=change.after, before=change.before
            )
            concerned = events.of_port(subscribers, change.port_number)
            new_events[:] = self.outbox.written((subscriber, event) for subscriber in concerned)
            return new_events

        change = await self._database.chargers.record_status(
            self.charger_id,
            report.port_number,
            report.connector_id,
            report.status,
            at,
            error_code=report.error_code,
            vendor_error_code=report.vendor_error_code,
            info=report.info,
            create=self._settings.unknown_chargers == "register",
            events_for=events_for,
            even_unchanged=is_first,
        )
        if change is not None:
            log.info(
                "port_status_changed",
                charger_id=self.charger_id,
                port_number=change.port_number,
                status=change.after,
            )
        if new_events:
            self.outbox.note_stored()

    async def token(self, id_tag: str | None) -> TokenVerdict:
        """Whether a driver may charge, and the group to answer with.

        A token reserved at this charger is accepted unless the list has it blocked; with the listed group,
        else its reservation's. Other tokens are as the list says, unlisted ones as BERTH_UNKNOWN_TOKENS.
        """
        if not id_tag:
            return TokenVerdict(INVALID)
        listed = await self._database.tokens.by_id_tag(id_tag)
        listed_parent = listed.parent_id_tag if listed else None
        if listed is not None and listed.status == BLOCKED:
            return TokenVerdict(BLOCKED, listed_parent)
        subscribers = await self.outbox.subscribers()
        listed_parent = _as_reserved(listed_parent, subscribers)
        reserved = [one for one in subscribers if same_token(one.id_tag, id_tag)]
        if reserved:
            groups = [listed_parent, *(one.parent_id_tag for one in reserved)]
            return TokenVerdict(ACCEPTED, next((group for group in groups if group), None))
        if listed is not None:
            return TokenVerdict(listed.status, listed_parent)
        return TokenVerdict(ACCEPTED if self._settings.unknown_tokens == "accept" else INVALID)

    async def transaction_started(self, report: TransactionReport, parent_id_tag: str | None) -> int:
        """A transaction starts, or names its token or reservation; its id, the same one for a repeat.

        `parent_id_tag` is the group of its token, as the verdict gave it.
        """
        now = _now()
        subscribers = await self.outbox.subscribers()
        # 1.6 does not say what comes from its queue. A start within the outage before this socket does; any
        # other is live, whatever the charger's clock makes of it.
        is_queued = self._outage is not None and self._outage.covers(report.started_at)
        start = Start(
            port_number=report.port_number,
            reservation_id=report.reservation_id,
            id_tag=report.id_tag,
            parent_id_tag=parent_id_tag,
            # A start that is yet to come is a mistake of the clock, often local time without its zone.
            started_at=None if report.started_at is None else min(report.started_at, now),
            offline=is_queued if report.offline is None else report.offline,
        )
        tolerance = timedelta(seconds=self._settings.expiry_grace)
        new_events: list[NewEvent] = []

        def events_for(reported: ReportedStart) -> tuple[str | None, list[NewEvent]]:
            attributed_to, concerned = attribute(subscribers, start, reported, tolerance)
            event = TransactionStarted(
                at=now,
                transaction_id=report.ocpp_transaction_id or str(reported.transaction_id),
                port_number=start.port_number,
                reservation_id=start.reservation_id,
                is_id_live=is_id_live(subscribers, start.reservation_id),
                id_tag=start.id_tag,
                parent_id_tag=start.parent_id_tag,
                started_at=start.started_at,
                offline=start.offline,
            )
            new_events[:] = self.outbox.written(
                (one, event.model_copy(update={"is_known": is_known(one, reported)})) for one in concerned
            )
            return attributed_to, new_events

        transaction_id = await self._database.transactions.start(
            self.charger_id,
            report.port_number,
            report.id_tag,
            report.started_at or now,
            report.meter_start,
            reservation_id=report.reservation_id,
            ocpp_transaction_id=report.ocpp_transaction_id,
            rivals=rivals(subscribers, start),
            events_for=events_for if subscribers else None,
        )
        if new_events:
            self.outbox.note_stored()
        return transaction_id

    async def transaction_ended(self, report: TransactionEndReport) -> None:
        """A transaction is over; also one whose start never arrived."""
        now = _now()
        known = await self._database.transactions.end(
            self.charger_id,
            ended_at=report.ended_at or now,
            transaction_id=report.transaction_id,
            ocpp_transaction_id=report.ocpp_transaction_id,
            meter_stop=report.meter_stop,
            reason=report.reason,
        )
        port_number = report.port_number if known is None else known.port_number
        event = TransactionEnded(
            at=now,
            transaction_id=report.ocpp_transaction_id or str(report.transaction_id),
            port_number=port_number,
        )
        concerned = events.of_ended_transaction(
            await self.outbox.subscribers(),
            port_number=port_number,
            reservation_id=known.reservation_id if known else None,
            attributed_to=known.attributed_to if known else None,
        )
        await self.outbox.put([(subscriber, event) for subscriber in concerned])

    async def known_transaction(self, ocpp_transaction_id: str) -> Transaction | None:
        """A 2.0.1 transaction, running or ended; only its first event says where it takes place."""
        return await self._database.transactions.of_charger_by_own_id(self.charger_id, ocpp_transaction_id)

    async def reservation_ended(self, reservation_id: int, status: str) -> None:
        """ReservationStatusUpdate: the charger itself ended a reservation."""
        event = ReservationEnded(at=_now(), reservation_id=reservation_id, status=status)
        concerned = events.of_reservation(await self.outbox.subscribers(), reservation_id)
        await self.outbox.put([(subscriber, event) for subscriber in concerned])


def _as_reserved(parent_id_tag: str | None, subscribers: Iterable[EventSubscription]) -> str | None:
    """The group as a reservation spells it to the charger, which may compare case by case (MicroOcpp)."""
    groups = (one.parent_id_tag for one in subscribers)
    return next((group for group in groups if same_token(group, parent_id_tag)), parent_id_tag)


def _now() -> datetime:
    return datetime.now(UTC)
