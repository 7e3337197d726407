"""One charger's socket: whose it is, what went over it, and what is wrong with what it says."""

from datetime import datetime
from typing import Any, Literal

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from gateway.call_log import TYPICAL_WEIGHT, Exchange, MessageLog
from gateway.dialect import Dialect
from gateway.frames import Answer, Payload

log = structlog.get_logger(__name__)

_COMPLAINTS_LOGGED = 50


class Wire:
    """Shared by both directions of a session."""

    __slots__ = ("_complaints", "_messages", "charger_id", "dialect", "ocpp_identity", "socket")

    def __init__(
        self,
        socket: ServerConnection,
        charger_id: int,
        ocpp_identity: str,
        dialect: Dialect,
        messages: MessageLog,
    ) -> None:
        self.socket = socket
        self.charger_id = charger_id
        self.ocpp_identity = ocpp_identity
        self.dialect = dialect
        self._messages = messages
        self._complaints = 0

    @property
    def is_open(self) -> bool:
        """Whether frames can be written."""
        return self.socket.state is State.OPEN

    async def send(self, text: bytes) -> None:
        """Write a frame. Raises ConnectionClosed."""
        await self.socket.send(text, text=True)

    def keep(
        self,
        at: datetime,
        sender: Literal["charger", "berth"],
        action: str,
        payload: Payload,
        answer: Answer | None,
        *,
        weight: int = TYPICAL_WEIGHT,
        secrets: tuple[str, ...] = (),
    ) -> None:
        """Enter a CALL and its answer into the message log; the words of `secrets` are hidden in it."""
        self._messages.add(
            Exchange(
                at,
                self.charger_id,
                self.ocpp_identity,
                self.dialect.subprotocol,
                sender,
                action,
                payload,
                answer,
                weight,
                secrets,
            )
        )

    def complain(self, event: str, **fields: Any) -> None:
        """Log what is wrong with what the charger sends: the first of a socket, or it could fill the disk."""
        self._complaints += 1
        if self._complaints <= _COMPLAINTS_LOGGED:
            self.log().warning(event, **fields)
        if self._complaints == _COMPLAINTS_LOGGED:
            self.log().warning("no_more_complaints_logged")

    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines name the charger."""
        bound: structlog.stdlib.BoundLogger = log.bind(
            charger_id=self.charger_id, ocpp_identity=self.ocpp_identity
        )
        return bound
