"""OCPP-J frames: text in, typed frames out, and back (OCPP-J 1.6 §4, OCPP 2.0.1 part 4 §4).

Pure functions. Reading is tolerant, because real chargers are not exact: numeric message ids are kept
as they are, `null` payloads count as `{}`, NaN counts as null, invalid UTF-8 is replaced, a byte order mark
is skipped.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

MessageId = str | int | float
"""Echoed as it came; compared by its string form."""

Payload = dict[str, Any]

UNREADABLE_ID = "-1"
"""Message id of a CALLERROR to a CALL whose own id cannot be read (OCPP 2.0.1 part 4 §4.2.3)."""

ProtocolFault = Literal["FormatViolation", "RpcFrameworkError", "MessageTypeNotSupported"]

_CALL, _CALL_RESULT, _CALL_ERROR = 2, 3, 4
# OCPP 2.1: CALLRESULTERROR and SEND are never answered.
_NEVER_ANSWERED = (5, 6)
_MAX_DESCRIPTION = 255
_VALUE_WEIGHT = 64  # bytes of an empty object of Python, which takes three on the wire
_MAX_DEPTH = 100  # no message of OCPP has a tenth; whoever reads, checks or writes JSON recurses


@dataclass(frozen=True, slots=True)
class Call:
    """A request: `[2, "<id>", "<Action>", {payload}]`."""

    message_id: MessageId
    action: str
    payload: Payload
    weight: int = field(default=0, compare=False)
    """About what it takes in memory, bytes; known of what was read."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """The answer to a Call: `[3, "<id>", {payload}]`."""

    message_id: MessageId
    payload: Payload


@dataclass(frozen=True, slots=True)
class CallError:
    """The other answer to a Call: `[4, "<id>", "<code>", "<description>", {details}]`."""

    message_id: MessageId
    code: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class BrokenAnswer:
    """An answer whose id can be read and nothing else; it ends the call it belongs to."""

    message_id: MessageId
    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not a frame. `fault` names the CALLERROR to answer with, None when nothing is to be answered."""

    reason: str
    fault: ProtocolFault | None = None
    message_id: MessageId = UNREADABLE_ID


Answer = CallResult | CallError | BrokenAnswer
Frame = Call | Answer | Malformed


def parse(data: bytes) -> Frame:
    """The frame in one websocket message. Never raises."""
    try:
        array = _load(data)
    except (ValueError, RecursionError) as error:
        return Malformed(f"not JSON: {type(error).__name__}", fault="RpcFrameworkError")
    if not isinstance(array, list) or not array:
        return Malformed("not a JSON array", fault="RpcFrameworkError")
    message_type = array[0]
    if isinstance(message_type, bool) or not isinstance(message_type, int):
        return Malformed("message type is not a number", fault="RpcFrameworkError")
    message_id = array[1] if len(array) > 1 else None
    if isinstance(message_id, bool) or not isinstance(message_id, (str, int, float)):
        return _without_id(message_type)
    if message_type == _CALL:
        if _is_too_deep(data, array):
            return Malformed("nested too deep", fault="FormatViolation", message_id=message_id)
        return _call(message_id, array, weight=len(data) + data.count(b",") * _VALUE_WEIGHT)
    if message_type == _CALL_RESULT:
        if _is_too_deep(data, array):
            return BrokenAnswer(message_id, "nested too deep")
        return _call_result(message_id, array)
    if message_type == _CALL_ERROR:
        return _call_error(message_id, array)
    return Malformed(
        f"message type {message_type}",
        fault=None if message_type in _NEVER_ANSWERED else "MessageTypeNotSupported",
        message_id=message_id,
    )


def encode_call(message_id: MessageId, action: str, payload: Payload) -> bytes:
    """The text of a CALL, UTF-8."""
    return orjson.dumps([_CALL, message_id, action, payload])


def encode_call_result(message_id: MessageId, payload: Payload) -> bytes:
    """The text of a CALLRESULT, UTF-8."""
    return orjson.dumps([_CALL_RESULT, message_id, payload])


def encode_call_error(message_id: MessageId, code: str, description: str = "") -> bytes:
    """The text of a CALLERROR, UTF-8; the description is cut to 255 characters."""
    return orjson.dumps([_CALL_ERROR, message_id, code, description[:_MAX_DESCRIPTION], {}])


def _load(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # Second, slower and more tolerant reading; what comes out of it can always be encoded again.
        lenient = json.loads(data.decode("utf-8-sig", "replace"), strict=False, parse_constant=lambda _: None)
        return orjson.loads(json.dumps(lenient, ensure_ascii=False).encode("utf-8", "replace"))


def _is_too_deep(data: bytes, array: list[Any]) -> bool:
    if data.count(b"[") + data.count(b"{") <= _MAX_DEPTH:
        return False
    layer: list[Any] = array
    for _ in range(_MAX_DEPTH):
        layer = [child for value in layer for child in _children(value)]
        if not layer:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _without_id(message_type: int) -> Malformed:
    # An answer without an id belongs to nobody, and answers are never answered.
    is_request = message_type == _CALL
    return Malformed("message id is missing", fault="RpcFrameworkError" if is_request else None)


def _call(message_id: MessageId, array: list[Any], weight: int) -> Call | Malformed:
    if len(array) < 3 or not isinstance(array[2], str):
        return Malformed("action is missing", fault="FormatViolation", message_id=message_id)
    payload = array[3] if len(array) > 3 else None
    if payload is None:  # OCPP-J 1.6 §4.2.1: null stands for an empty payload
        payload = {}
    if not isinstance(payload, dict):
        return Malformed("payload is not an object", fault="FormatViolation", message_id=message_id)
    return Call(message_id, array[2], payload, weight)


def _call_result(message_id: MessageId, array: list[Any]) -> CallResult | BrokenAnswer:
    payload = array[2] if len(array) > 2 else None
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        return BrokenAnswer(message_id, "payload is not an object")
    return CallResult(message_id, payload)


def _call_error(message_id: MessageId, array: list[Any]) -> CallError | BrokenAnswer:
    if len(array) < 3 or not isinstance(array[2], str):
        return BrokenAnswer(message_id, "error code is missing")
    description = array[3] if len(array) > 3 and isinstance(array[3], str) else ""
    return CallError(message_id, array[2], description)
