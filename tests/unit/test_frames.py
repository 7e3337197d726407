"""OCPP-J frames are read tolerantly and written exactly."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import frames
from gateway.frames import BrokenAnswer, Call, CallError, CallResult, Malformed, MessageId, Payload

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
payloads = st.dictionaries(st.text(max_size=20), json_values, max_size=5)
message_ids = st.text(max_size=36) | st.integers(-(2**63), 2**64 - 1)


@given(message_id=message_ids, action=st.text(max_size=50), payload=payloads)
def test_a_written_call_reads_back_as_it_was(message_id: MessageId, action: str, payload: Payload) -> None:
    assert frames.parse(frames.encode_call(message_id, action, payload)) == Call(message_id, action, payload)


@given(message_id=message_ids, payload=payloads)
def test_a_written_result_reads_back_as_it_was(message_id: MessageId, payload: Payload) -> None:
    assert frames.parse(frames.encode_call_result(message_id, payload)) == CallResult(message_id, payload)


@given(message_id=message_ids, code=st.text(max_size=40), description=st.text(max_size=400))
def test_a_written_error_reads_back_with_its_description_cut(
    message_id: MessageId, code: str, description: str
) -> None:
    read = frames.parse(frames.encode_call_error(message_id, code, description))
    assert read == CallError(message_id, code, description[:255])


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_raise(data: bytes) -> None:
    frames.parse(data)


@given(json_values)
def test_whatever_json_comes_the_answer_can_be_written(value: Any) -> None:
    read = frames.parse(orjson.dumps(value))
    if not isinstance(read, Malformed):
        frames.encode_call_result(read.message_id, {})
    elif read.fault:
        frames.encode_call_error(read.message_id, read.fault, read.reason)


@given(st.lists(json_values, max_size=6).map(lambda tail: [2, *tail]))
def test_a_call_is_either_usable_or_says_what_to_answer(array: list[Any]) -> None:
    read = frames.parse(orjson.dumps(array))
    assert isinstance(read, Call) or (isinstance(read, Malformed) and read.fault is not None)


@given(st.sampled_from([3, 4]), st.lists(json_values, max_size=6))
def test_an_answer_is_never_answered(message_type: int, tail: list[Any]) -> None:
    read = frames.parse(orjson.dumps([message_type, *tail]))
    assert not isinstance(read, Call)
    assert not isinstance(read, Malformed) or read.fault is None


def test_a_null_payload_is_an_empty_one() -> None:
    assert frames.parse(b'[2,"1","Heartbeat",null]') == Call("1", "Heartbeat", {})
    assert frames.parse(b'[2,"1","Heartbeat"]') == Call("1", "Heartbeat", {})
    assert frames.parse(b'[3,"1",null]') == CallResult("1", {})


@pytest.mark.parametrize(("text", "message_id"), [(b"17", 17), (b'""', ""), (b"1.5", 1.5)])
def test_unusual_message_ids_are_kept_as_they_are(text: bytes, message_id: MessageId) -> None:
    read = frames.parse(b"[2," + text + b',"Heartbeat",{}]')
    assert read == Call(message_id, "Heartbeat", {})


def test_nan_counts_as_null() -> None:
    assert frames.parse(b'[2,"1","MeterValues",{"value":NaN}]') == Call("1", "MeterValues", {"value": None})


def test_invalid_utf8_and_lone_surrogates_are_replaced() -> None:
    read = frames.parse(b'[2,"1","DataTransfer",{"data":"\xff","more":"\\ud800"}]')
    assert read == Call("1", "DataTransfer", {"data": "\ufffd", "more": "?"})


@pytest.mark.parametrize(
    ("text", "fault", "message_id"),
    [
        (b"", "RpcFrameworkError", "-1"),
        (b"hello", "RpcFrameworkError", "-1"),
        (b"{}", "RpcFrameworkError", "-1"),
        (b"[]", "RpcFrameworkError", "-1"),
        (b'["2","1","Heartbeat",{}]', "RpcFrameworkError", "-1"),
        (b"[2]", "RpcFrameworkError", "-1"),
        (b'[2,null,"Heartbeat",{}]', "RpcFrameworkError", "-1"),
        (b'[2,true,"Heartbeat",{}]', "RpcFrameworkError", "-1"),
        (b'[2,"1"]', "FormatViolation", "1"),
        (b'[2,"1",7,{}]', "FormatViolation", "1"),
        (b'[2,"1","Heartbeat",[]]', "FormatViolation", "1"),
        (b'[2,"1","Heartbeat","x"]', "FormatViolation", "1"),
        (b'[9,"1",{}]', "MessageTypeNotSupported", "1"),
        (b'[5,"1","code","",{}]', None, "1"),
        (b'[6,"1","NotifyPeriodicEventStream",{}]', None, "1"),
        (b"[3]", None, "-1"),
        (b"[" * 30_000, "RpcFrameworkError", "-1"),
        (b'[2,"1","Heartbeat",{"a":1e999}]', "RpcFrameworkError", "-1"),
    ],
)
def test_what_is_no_frame_says_what_to_answer(text: bytes, fault: str | None, message_id: MessageId) -> None:
    read = frames.parse(text)
    assert isinstance(read, Malformed)
    assert (read.fault, read.message_id) == (fault, message_id)


def test_an_unreadable_answer_still_names_its_call() -> None:
    assert frames.parse(b'[3,"1",[]]') == BrokenAnswer("1", "payload is not an object")
    assert frames.parse(b'[4,"1"]') == BrokenAnswer("1", "error code is missing")


def test_a_bare_call_error_is_enough() -> None:
    assert frames.parse(b'[4,"1","GenericError"]') == CallError("1", "GenericError")
    assert frames.parse(b'[4,"1","GenericError","oh","details as text"]') == CallError(
        "1", "GenericError", "oh"
    )
