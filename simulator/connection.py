"""A charger's socket: it comes, boots, beats, goes, and comes back."""

import asyncio
import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from simulator.answering import answer_call
from simulator.chance import Chance
from simulator.wire import ErrorAnswer, NoAnswer, Peer

if TYPE_CHECKING:
    from simulator.charger import SimulatedCharger

log = structlog.get_logger(__name__)

_BOOT_RETRY = 10.0  # seconds, when the central system names no interval
_OPEN_TIMEOUT = 30.0  # seconds; a storm of thousands needs patience
_NO_LIMIT = asyncio.Semaphore(1_000_000)


class Connection:
    """The life of one charger on the wire; `peer` is its present socket, `password` that of the next ones."""

    def __init__(
        self,
        charger: "SimulatedCharger",
        url: str,
        seed: str,
        *,
        password: bytes | None = None,
        reconnect_seconds: Sequence[float] | None = None,
        heartbeat_seconds: float | None = None,
        connecting: asyncio.Semaphore | None = None,
    ) -> None:
        self.peer: Peer | None = None
        self.is_accepted = False
        self.is_silent = False
        self.booted = asyncio.Event()
        self._charger = charger
        self._url = f"{url.rstrip('/')}/{quote(charger.identity, safe='')}"
        self.password = password
        self._waits = tuple(reconnect_seconds or charger.personality.reconnect_seconds)
        self._heartbeat_seconds = heartbeat_seconds
        self._connecting = connecting or _NO_LIMIT
        self._chance = Chance(f"{seed}/waits")
        self._message_ids = Chance(f"{seed}/messages")
        self._number = 100_000_000 + Chance(f"{seed}/number").bits() % 800_000_000
        self._socket: ClientConnection | None = None
        self._life: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._hurry = asyncio.Event()
        self._must_boot = True
        self._boot_reason = "PowerUp"
        self._next_wait: float | None = None
        self._heartbeat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._life = asyncio.create_task(self._live(), name=self._charger.identity)

    async def stop(self) -> None:
        """End for good."""
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    def stay_away(self) -> None:
        """Do not connect again until `come_back`."""
        self._wanted.clear()

    def come_back(self) -> None:
        """Connect, and at once."""
        self._wanted.set()
        self._hurry.set()

    def wait_next(self, seconds: float) -> None:
        """Wait so long before the next attempt, whatever the personality says."""
        self._next_wait = seconds

    def boot_next(self, reason: str) -> None:
        """Boot on the next socket; reason in the words of 2.0.1 BootReasonEnumType."""
        self._must_boot = True
        self._boot_reason = reason
        self._wanted.set()

    def silence(self, on: bool) -> None:
        """Neither hear nor speak, with the socket open; or do again."""
        self.is_silent = on
        if self.peer is not None:
            self.peer.is_silent = on

    def abort(self) -> None:
        """Lose the socket without a goodbye."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        """Close the socket properly."""
        if self._socket is not None:
            await self._socket.close()

    async def _live(self) -> None:
        attempt = 0
        while True:
            await self._wanted.wait()
            self._hurry.clear()
            try:
                async with self._connecting:
                    socket = await self._connect()
            except (OSError, WebSocketException) as error:
                log.debug("connection_failed", charger=self._charger.identity, error=str(error))
                attempt += 1
            else:
                attempt = 0
                await self._serve(socket)
                if not self._charger.personality.reconnects and not self._must_boot:
                    self._wanted.clear()
            await self._pause(attempt)

    async def _pause(self, attempt: int) -> None:
        seconds, self._next_wait = self._next_wait, None
        if seconds is None:
            seconds = self._waits[min(attempt, len(self._waits) - 1)] * self._chance.between(0.9, 1.1)
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return
        finally:
            self._hurry.clear()

    async def _connect(self) -> ClientConnection:
        headers: dict[str, str] = {}
        if self.password is not None:
            secret = base64.b64encode(self._charger.identity.encode() + b":" + self.password)
            headers["Authorization"] = f"Basic {secret.decode()}"
        # No compression and no pings of its own: thousands of these share one process.
        return await connect(
            self._url,
            subprotocols=[Subprotocol(self._charger.dialect.subprotocol)],
            additional_headers=headers,
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=_OPEN_TIMEOUT,
            close_timeout=2,
        )

    async def _serve(self, socket: ClientConnection) -> None:
        charger = self._charger
        peer = Peer(
            socket,
            charger.recorder,
            self._new_message_id,
            lambda peer, call: answer_call(charger, peer, call),
            pipelines_calls=charger.personality.pipelines_calls,
        )
        peer.is_silent = self.is_silent
        self._socket, self.peer = socket, peer
        peer.spawn(self._greet(peer))
        try:
            await peer.read()
        except ConnectionClosed:
            log.debug("disconnected", charger=charger.identity)
        finally:
            self._socket = self.peer = None
            self.is_accepted = False
            self.booted.clear()
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            await peer.close()
            socket.transport.abort()

    async def _greet(self, peer: Peer) -> None:
        was_off = self._must_boot
        boots = was_off or self._charger.personality.boots_on_reconnect
        if boots:
            await self._boot(peer)
        self.is_accepted = True
        self._must_boot = False
        await self._charger.greet(peer, was_off=was_off, has_booted=boots)
        self._arm_heartbeat()
        self.booted.set()

    async def _boot(self, peer: Peer) -> None:
        if self._charger.personality.message_ids_repeat_each_boot:
            self._message_ids.restart()
        while True:
            interval = _BOOT_RETRY
            boot = self._charger.dialect.boot(self._charger.identity, self._boot_reason)
            try:
                answer = await peer.call(*boot)
            except (NoAnswer, ErrorAnswer):
                if peer.is_closed:
                    raise
            else:
                interval = answer.get("interval") or _BOOT_RETRY
                if answer.get("status") == "Accepted":
                    self._heartbeat_seconds = self._heartbeat_seconds or interval
                    return
            await asyncio.sleep(interval)

    def _arm_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._heartbeat_seconds:
            loop = asyncio.get_running_loop()
            self._heartbeat = loop.call_later(self._heartbeat_seconds, self._beat)

    def _beat(self) -> None:
        self._charger.post("Heartbeat", {})
        self._arm_heartbeat()

    def _new_message_id(self) -> str:
        if self._charger.personality.message_ids == "numbers":
            self._number += 1
            return str(self._number)
        return self._message_ids.uuid()
