"""The websocket server that chargers connect to.

Who may connect is settled before the upgrade; then each socket gets a session, and the database is updated
which gateway holds it. The newest socket of a charger wins.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from berth.database import Charger, Database
from berth.settings import Settings
from gateway.admission import Admission, Refusal
from gateway.call_log import MessageLog
from gateway.channel import Channel, channel_of
from gateway.charger_events import Outbox
from gateway.gateway_metrics import HANDSHAKES_REJECTED
from gateway.gateway_tls import GatewayTls
from gateway.health import DATABASE_WITHIN, LIVE, READY
from gateway.inquiry import INQUIRE_AFTER, Inquirer
from gateway.ocpp16 import OCPP16
from gateway.ocpp201 import OCPP201
from gateway.registry import Registry
from gateway.reports import ChargerReports, Outage, PortReport
from gateway.session import ChargerSession
from webhooks.charger_presence import ChargerPresence
from workflows.messages import ChargerConnected, Route

log = structlog.get_logger(__name__)

# At DEBUG the library writes whole frames and headers: tokens and passwords.
_wire_log = logging.getLogger(f"{__name__}.websockets")
_wire_log.setLevel(logging.WARNING)

DIALECTS = {dialect.subprotocol: dialect for dialect in (OCPP16, OCPP201)}

BOOT_WAIT = timedelta(seconds=3)
"""How long a known charger may take for a BootNotification before it gets commands without one."""

_WEBSOCKET = "websocket"
_MAX_FRAME = 64 * 1024  # bytes
_MAX_CONNECTIONS = 20_000
_OPEN_TIMEOUT = 30.0  # seconds; thousands may wait for the check of their password after a restart
_CLOSE_TIMEOUT = 5.0
_BACKLOG = 4096
_RETRY_AFTER = 2.0
_MAX_UNREAD = 256 * 1024  # bytes written and not taken by the charger; our answers wait at a fraction of it


class PortInUse(Exception):
    """Another process listens where the gateway should."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        super().__init__(f"port {port} on {host} is in use: set BERTH_GATEWAY_PORT to another one")


class _ChargerSocket(ServerConnection):
    """A connection that knows its charger once it is admitted."""

    charger: Charger | None = None

    def data_received(self, data: bytes) -> None:
        """Hang up on who sends pings and never reads: the library answers them without flow control."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > _MAX_UNREAD:
            log.warning("charger_does_not_read", charger_id=self.charger.id if self.charger else None)
            self.transport.abort()


class GatewayServer:
    """Serves chargers until it is drained."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        incarnation: str,
        queue: str,
        registry: Registry,
        messages: MessageLog,
        wake: Callable[[int], None],
        presence: ChargerPresence,
        tls: GatewayTls | None = None,
        boot_wait: timedelta = BOOT_WAIT,
        inquire_after: timedelta = INQUIRE_AFTER,
        max_connections: int = _MAX_CONNECTIONS,
    ) -> None:
        self._settings = settings
        self._database = database
        self._incarnation = incarnation
        self._queue = queue
        self._registry = registry
        self._messages = messages
        self._wake = wake
        self._presence = presence
        self._tls = tls
        self._boot_wait = boot_wait
        self._max_connections = max_connections
        self._admission = Admission(database, settings)
        self._inquirer = Inquirer(database, registry, inquire_after)
        self._is_draining = False
        self._server: Server | None = None

    async def start(self) -> None:
        """Listen. Raises PortInUse."""
        host, port = self._settings.gateway_host, self._settings.gateway_port
        interval = self._settings.ocpp_ping_interval or None
        try:
            self._server = await serve(
                self._serve,
                host,
                port,
                ssl=None if self._tls is None else self._tls.context,
                create_connection=_ChargerSocket,
                process_request=self._admit,
                select_subprotocol=_first_we_speak,
                open_timeout=_OPEN_TIMEOUT,
                close_timeout=_CLOSE_TIMEOUT,
                ping_interval=interval,
                ping_timeout=interval,
                max_size=_MAX_FRAME,
                server_header=None,
                logger=_wire_log,
                backlog=_BACKLOG,
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUse(host, port) from error
        log.info("gateway_listening", host=host, port=self.port)

    @property
    def port(self) -> int:
        """The port it listens on; the one given by the system when 0 was asked for."""
        if self._server is None:
            raise RuntimeError("the server is not started")
        address = next(iter(self._server.sockets)).getsockname()
        return int(address[1])

    def refuse_new(self) -> None:
        """Answer new chargers 503 from now on; they come back elsewhere or later."""
        self._is_draining = True

    async def close(self) -> None:
        """Close every socket with 1012 (service restart) and stop listening."""
        self.refuse_new()
        for session in self._registry:
            session.end()
        if self._server is not None:
            self._server.close(code=CloseCode.SERVICE_RESTART, reason="the gateway restarts")
            await self._server.wait_closed()
        await self._inquirer.stop()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path in (LIVE, READY):
            obstacle = await self._obstacle() if path == READY else None
            status = HTTPStatus.OK if obstacle is None else HTTPStatus.SERVICE_UNAVAILABLE
            return connection.respond(status, (obstacle or "ok") + "\n")
        channel = channel_of(connection)
        verdict = self._stack_rules(request) or await self._known_charger(channel, request)
        if isinstance(verdict, Refusal):
            HANDSHAKES_REJECTED.labels(verdict.reason).inc()
            if verdict.status is not HTTPStatus.TOO_MANY_REQUESTS:  # logged once, when it began
                log.info(
                    "charger_refused",
                    path=path[:100],
                    address=channel.address,
                    status=verdict.status.value,
                    reason=verdict.text,
                )
            return _response(connection, verdict)
        if isinstance(connection, _ChargerSocket):
            connection.charger = verdict
        return None

    async def _obstacle(self) -> str | None:
        if self._is_draining:
            return "the gateway restarts"
        if len(self._registry) >= self._max_connections:
            return "too many connections"
        reachable = await self._database.is_reachable(DATABASE_WITHIN)
        return None if reachable else "the database does not answer"

    def _stack_rules(self, request: Request) -> Refusal | None:
        if self._is_draining:
            return Refusal("draining", HTTPStatus.SERVICE_UNAVAILABLE, "the gateway restarts")
        if len(self._registry) >= self._max_connections:
            return Refusal("too_many_connections", HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        # The library looks at this too, but only once the charger is admitted, and perhaps registered.
        if ",".join(request.headers.get_all("Upgrade")).strip().lower() != _WEBSOCKET:
            return Refusal("no_upgrade", HTTPStatus.UPGRADE_REQUIRED, "open a websocket here")
        headers = request.headers.get_all("Sec-WebSocket-Protocol")
        offered = {name.strip() for header in headers for name in header.split(",")}
        if not DIALECTS.keys() & offered:
            # TC_B_58_CSMS wants no upgrade here, though the specifications speak of one.
            return Refusal(
                "no_common_version",
                HTTPStatus.BAD_REQUEST,
                f"offer one of the subprotocols {', '.join(DIALECTS)}",
            )
        return None

    async def _known_charger(self, channel: Channel, request: Request) -> Charger | Refusal:
        try:
            return await self._admission.check(request, channel)
        except Exception:
            log.exception("admission_failed")
            return Refusal("directory_down", HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer")

    async def _serve(self, connection: ServerConnection) -> None:
        charger = connection.charger if isinstance(connection, _ChargerSocket) else None
        dialect = DIALECTS.get(connection.subprotocol or "")
        if charger is None or dialect is None:
            raise RuntimeError("a socket was opened without admission")
        connecting_at = datetime.now(UTC)
        taken = await self._database.links.take(charger.id, self._incarnation, dialect.subprotocol)
        epoch = taken.epoch
        session = ChargerSession(
            connection,
            ocpp_identity=charger.ocpp_identity,
            epoch=epoch,
            dialect=dialect,
            reports=ChargerReports(
                charger,
                self._database,
                self._settings,
                Outbox(charger.id, epoch, self._database, self._wake),
                _known_ports(charger) if dialect is OCPP16 else (),
                self._outage_before(connecting_at, taken.outage),
                on_boot=lambda: self._inquirer.ask_soon(charger.id),
            ),
            messages=self._messages,
            owns=lambda: self._database.links.owns(charger.id, epoch),
            on_ready=partial(self._make_ready, is_unknown=charger.capabilities.reservations is None),
            has_booted_before=charger.model is not None,
            boot_wait=self._boot_wait,
            name_group=self._settings.group_on_201,
        )
        bound = log.bind(charger_id=charger.id, ocpp_identity=charger.ocpp_identity, epoch=epoch)
        if not self._registry.enter(session):
            session.end()
            await connection.close(CloseCode.NORMAL_CLOSURE, "replaced by a newer connection")
            return
        bound.info("charger_connected", subprotocol=dialect.subprotocol)
        try:
            await session.run()
        finally:
            self._registry.leave(session)
            code = None if connection.close_code is None else int(connection.close_code)  # not its name
            bound.info("charger_disconnected", code=code, reason=connection.close_reason)
            if not self._is_draining:  # the end of the incarnation clears all of them at once
                await self._release(session)

    def _outage_before(self, connecting_at: datetime, lasted: timedelta | None) -> Outage | None:
        """When a charger that connects had no socket; None when it never had one before.

        It may have begun earlier than we noticed: a dead socket is found out by the second ping, and the
        charger's clock may be slow. It ends with this socket and no later, or a live start on a slow clock
        would be taken for one from the queue.
        """
        if lasted is None:
            return None
        noticed_within = 2 * self._settings.ocpp_ping_interval + self._settings.expiry_grace
        return Outage(connecting_at - lasted - timedelta(seconds=noticed_within), connecting_at)

    async def _make_ready(self, session: ChargerSession, *, is_unknown: bool) -> None:
        """The charger takes commands: route to it, notify those who wait for it."""
        session.is_ready = True
        while True:
            try:
                if not await self._database.links.mark_ready(session.charger_id, session.epoch):
                    session.close(CloseCode.NORMAL_CLOSURE, "replaced by a newer connection")
                    return
                session.was_ready = True
                await self._tell_connected(session)
                if is_unknown:
                    self._inquirer.ask_soon(session.charger_id)
                break
            except Exception:
                log.exception("charger_not_marked_ready", charger_id=session.charger_id)
                await asyncio.sleep(_RETRY_AFTER)
        await self._announce_ready(session)

    async def _announce_ready(self, session: ChargerSession) -> None:
        while True:
            try:
                await self._presence.connected(session.charger_id, session.epoch)
                return
            except Exception:
                log.exception("charger_not_announced", charger_id=session.charger_id)
                await asyncio.sleep(_RETRY_AFTER)

    async def _tell_connected(self, session: ChargerSession) -> None:
        outbox = Outbox(session.charger_id, session.epoch, self._database, self._wake)
        connected = ChargerConnected(
            at=datetime.now(UTC), route=Route(queue=self._queue, epoch=session.epoch)
        )
        await outbox.put([(subscriber, connected) for subscriber in await outbox.subscribers()])
        # Also without a subscriber now: events left over from an earlier socket go out first.
        self._wake(session.charger_id)

    async def _release(self, session: ChargerSession) -> None:
        try:
            if session.was_ready:
                await self._presence.disconnected(session.charger_id, session.epoch)
            await self._database.links.release(session.charger_id, session.epoch)
        except Exception:
            # The charger is gone all the same; its next socket, or our end, clears the row and reports it.
            log.exception("link_not_released", charger_id=session.charger_id)


def _known_ports(charger: Charger) -> list[PortReport]:
    # On 1.6 a port is one connector, so its stored status is the very report. After a restart thousands of
    # chargers repeat theirs within a minute.
    return [
        PortReport(port.port_number, 1, port.status, port.error_code, port.vendor_error_code, port.info)
        for port in charger.ports
        if port.status is not None
    ]


def _first_we_speak(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    # The charger lists its versions in order of preference.
    return next((name for name in offered if name in DIALECTS), None)


def _response(connection: ServerConnection, refusal: Refusal) -> Response:
    response = connection.respond(refusal.status, refusal.text + "\n")
    if refusal.status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
    if refusal.status is HTTPStatus.UPGRADE_REQUIRED:
        response.headers["Upgrade"] = _WEBSOCKET
    return response
