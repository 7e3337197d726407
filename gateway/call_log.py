"""The log of every CALL with its answer: kept in memory for a moment, written in batches.

It never delays a socket: when the database cannot keep up, the oldest entries are dropped and counted.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
import structlog

from berth.database import LoggedMessage
from gateway.frames import Answer, BrokenAnswer, CallError, CallResult, Payload
from gateway.gateway_metrics import MESSAGES_DROPPED

log = structlog.get_logger(__name__)

_BATCH = 500
_BATCH_WEIGHT = 1_000_000  # bytes; putting a batch into words holds up every socket
_WRITE_EVERY = 0.5  # seconds
_RETRY_AFTER = 5.0  # seconds, while the database fails
_HIDDEN = "***"

TYPICAL_WEIGHT = 500
"""What an exchange takes in memory, bytes, about."""

_OF_A_VARIABLE = ("attributeValue", "variableAttribute", "actualValue")
_SECRET_KEYS = frozenset({"password", "basicauthpassword", "authorizationkey"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """A CALL and what was answered; `answer` is None when none came."""

    at: datetime
    charger_id: int
    ocpp_identity: str
    subprotocol: str
    sender: Literal["charger", "berth"]
    action: str
    payload: Payload
    answer: Answer | None
    weight: int = TYPICAL_WEIGHT
    secrets: tuple[str, ...] = field(default=(), repr=False)  # hidden wherever they stand


class MessageLog:
    """A buffer before `berth.database.message_log`, bounded in exchanges and in the bytes they take."""

    def __init__(
        self,
        write: Callable[[Sequence[LoggedMessage]], Awaitable[None]],
        capacity: int = 20_000,
        weight_capacity: int = 32_000_000,
    ) -> None:
        self.dropped_count = 0
        self._write = write
        self._capacity = capacity
        self._weight_capacity = weight_capacity
        self._weight = 0
        self._waiting: deque[Exchange] = deque()

    @property
    def waiting_count(self) -> int:
        """Exchanges that are not written yet."""
        return len(self._waiting)

    def add(self, exchange: Exchange) -> None:
        """Keep an exchange until it is written; drops the oldest ones when the buffer is full."""
        self._waiting.append(exchange)
        self._weight += exchange.weight
        while len(self._waiting) > self._capacity or self._weight > self._weight_capacity:
            self._take()
            self.dropped_count += 1
            MESSAGES_DROPPED.inc()

    async def run(self) -> None:
        """Write what is waiting, for ever."""
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            try:
                await self.flush()
            except Exception:
                log.exception("message_log_not_written", waiting_count=len(self._waiting))
                await asyncio.sleep(_RETRY_AFTER)

    async def flush(self) -> None:
        """Write everything that waits now. Raises when the database fails; nothing is lost then."""
        while self._waiting:
            batch = self._next_batch()
            try:
                await self._write([_logged(exchange) for exchange in batch])
            except BaseException:
                self._waiting.extendleft(reversed(batch))
                self._weight += sum(exchange.weight for exchange in batch)
                raise

    def _next_batch(self) -> list[Exchange]:
        batch = [self._take()]
        weight = batch[0].weight
        while self._waiting and len(batch) < _BATCH and weight < _BATCH_WEIGHT:
            batch.append(self._take())
            weight += batch[-1].weight
        return batch

    def _take(self) -> Exchange:
        exchange = self._waiting.popleft()
        self._weight -= exchange.weight
        return exchange


def _logged(exchange: Exchange) -> LoggedMessage:
    response = _response(exchange.answer)
    return LoggedMessage(
        created_at=exchange.at,
        charger_id=exchange.charger_id,
        ocpp_identity=exchange.ocpp_identity,
        protocol=exchange.subprotocol,
        sender=exchange.sender,
        message_type=exchange.action,
        payload_json=_hidden(_json(exchange.payload), exchange.secrets),
        response_json=None if response is None else _hidden(response, exchange.secrets),
    )


def _hidden(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _response(answer: Answer | None) -> str | None:
    if isinstance(answer, CallResult):
        return _json(answer.payload)
    if isinstance(answer, CallError):
        return _json({"errorCode": answer.code, "errorDescription": answer.description})
    if isinstance(answer, BrokenAnswer):
        return _json({"brokenAnswer": answer.reason})
    return None


def _json(payload: Payload) -> str:
    # PostgreSQL's text has no NUL.
    return orjson.dumps(_without_secrets(payload)).decode().replace("\\u0000", "")


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    if not isinstance(value, dict):
        return value
    shown = {
        key: _HIDDEN if key.casefold() in _SECRET_KEYS else _without_secrets(item)
        for key, item in value.items()
    }
    if value.get("type") == "KeyCode" and "idToken" in value:  # C04.FR.04: never logged
        shown["idToken"] = _HIDDEN
    # ChangeConfiguration names its secret in a neighbouring field, SetVariables and reports of variables too.
    if str(value.get("key", "")).casefold() in _SECRET_KEYS and "value" in value:
        shown["value"] = _HIDDEN
    variable = value.get("variable")
    if isinstance(variable, dict) and str(variable.get("name", "")).casefold() in _SECRET_KEYS:
        shown |= {name: _HIDDEN for name in _OF_A_VARIABLE if name in value}
    return shown


def now() -> datetime:
    """The time an exchange is entered under."""
    return datetime.now(UTC)
