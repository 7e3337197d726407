"""Charging sessions, and the queue that brings their messages to the central system.

Transaction messages survive an outage: they wait in order and are repeated when the central
system does not take them (1.6 §3.7, 2.0.1 E13).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from simulator.clock import Clock
from simulator.wire import ErrorAnswer, NoAnswer, Payload, Peer, Posted

if TYPE_CHECKING:
    from simulator.dialect import Dialect

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Session:
    """One transaction; `id_tag` None while only the cable is in."""

    port_number: int
    connector_id: int
    started_at: datetime
    meter_start: int
    transaction_id: int | str | None
    id_tag: str | None = None
    id_tag_type: str | None = None
    parent_id_tag: str | None = None
    reservation_id: int | None = None
    remote_start_id: int | None = None
    reservation_told: bool = False
    sequence: int = 0


@dataclass(slots=True, eq=False)
class TransactionMessage:
    """A message of a session; what is only known when it goes out is filled in by the dialect."""

    session: Session
    action: str
    payload: Payload
    was_offline: bool
    attempts: int = 0


class TransactionQueue:
    """Messages of sessions, first in, first out."""

    def __init__(
        self,
        dialect: "Dialect",
        clock: Clock,
        refused: Callable[[Session], None],
        *,
        attempts: int = 5,
        retry_seconds: float = 1.0,
    ) -> None:
        self._dialect = dialect
        self._clock = clock
        self._refused = refused
        self._attempts = attempts
        self._retry_seconds = retry_seconds
        self._waiting: deque[TransactionMessage] = deque()
        self._busy_with: Peer | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, message: TransactionMessage, peer: Peer | None) -> None:
        """Put a message in line; with a peer, see that it goes out."""
        self._waiting.append(message)
        if peer is not None:
            self.deliver(peer)

    def deliver(self, peer: Peer) -> asyncio.Task[None] | None:
        """Begin to send what waits, unless that is going on; the task ends with the queue empty."""
        if not self._waiting or self._busy_with is peer:
            return None
        self._busy_with = peer
        # Posted here and not in the task, so that what is posted next comes after it.
        return peer.spawn(self._follow(peer, self._post(peer)))

    def _post(self, peer: Peer) -> Posted:
        message = self._waiting[0]
        return peer.post(message.action, self._dialect.completed(message, self._clock()))

    async def _follow(self, peer: Peer, posted: Posted) -> None:
        try:
            while True:
                message = self._waiting[0]
                try:
                    answer = await posted.answer
                except (NoAnswer, ErrorAnswer):
                    if peer.is_closed:
                        return
                    await self._failed(message)
                else:
                    self._waiting.popleft()
                    if not self._dialect.taken(message, answer):
                        self._refused(message.session)
                if not self._waiting:
                    return
                posted = self._post(peer)
        finally:
            if self._busy_with is peer:
                self._busy_with = None

    async def _failed(self, message: TransactionMessage) -> None:
        message.attempts += 1
        if message.attempts >= self._attempts:
            log.warning("transaction_message_given_up", action=message.action)
            self._waiting.popleft()
            return
        await asyncio.sleep(self._retry_seconds * message.attempts)
