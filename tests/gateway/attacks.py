"""What broken and malicious chargers do to a gateway; each returns once its sockets are answered or gone."""

import asyncio
import base64
import contextlib
import json
import os
import socket as sockets
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from gateway.session import ChargerSession
from tests.gateway.stack import Stack, until
from tests.gateway.station import Payload, Station, basic
from workflows.messages import ReserveNowResult, ReserveStatus, Terms

Attack = Callable[[Stack], Awaitable[None]]

A = TypeVar("A", bound=Attack)

ATTACKS: list[Attack] = []
"""All of them; the name of each is its sentence."""

GUARDED = "GUARDED"
"""A charger that has a password."""

OPEN_TIMEOUT = 2.0
"""Seconds the gateway under attack gives a handshake."""

HEARTBEAT = '[2,"h","Heartbeat",{}]'


def attack(function: A) -> A:
    ATTACKS.append(function)
    return function


# --- means -----------------------------------------------------------------------------------------------


class Target(Protocol):
    """A gateway to attack."""

    def url(self, identity: str = "CP-1") -> str: ...


def attacker(stack: Target, version: str = "1.6", identity: str = "CP-1", **options: Any) -> connect:
    """A websocket that sends what it likes."""
    values: dict[str, Any] = {"ping_interval": None, "close_timeout": 1, "max_size": None}
    return connect(stack.url(identity), subprotocols=[Subprotocol(f"ocpp{version}")], **(values | options))


async def frames_until(socket: ClientConnection, message_id: str) -> list[list[Any]]:
    """The frames before the answer with this message id."""
    seen: list[list[Any]] = []
    async with asyncio.timeout(60):
        while (frame := json.loads(await socket.recv()))[1] != message_id:
            seen.append(frame)
    return seen


async def is_answered(socket: ClientConnection) -> None:
    """Raises unless the session still talks."""
    await socket.send('[2,"still there?","Heartbeat",{}]')
    await frames_until(socket, "still there?")


async def close_code(socket: ClientConnection, within: float = 60) -> int | None:
    """Wait for the end."""
    async with asyncio.timeout(within):
        await socket.wait_closed()
    return socket.close_code


class Wire:
    """A TCP connection to the gateway with nothing clever on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes, within: float = 60) -> bool:
        """Whether it could be written in time: a gateway that reads no more makes the writer wait."""
        try:
            async with asyncio.timeout(within):
                self.writer.write(data)
                await self.writer.drain()
        except (TimeoutError, OSError):
            return False
        return True

    async def upgrade(self, identity: str = "CP-1") -> None:
        """Become a websocket."""
        await self.write(request(f"/ocpp/{identity}"))
        async with asyncio.timeout(60):
            head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    async def send(self, data: bytes, opcode: Opcode = Opcode.TEXT, fin: bool = True) -> bool:
        return await self.write(Frame(opcode, data, fin).serialize(mask=True))

    async def rest(self, within: float = 60) -> bytes:
        """Everything until the gateway hangs up, which it must."""
        read = bytearray()
        async with asyncio.timeout(within):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    read += data
        return bytes(read)


@asynccontextmanager
async def wire(stack: Target, receive_buffer: int | None = None) -> AsyncIterator[Wire]:
    raw = sockets.socket()
    if receive_buffer is not None:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, receive_buffer)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", urlsplit(stack.url()).port))
    reader, writer = await asyncio.open_connection(sock=raw)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def request(path: str, headers: str = "", method: str = "GET", protocol: str = "HTTP/1.1") -> bytes:
    """An upgrade request."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"{method} {path} {protocol}\r\nHost: berth\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: ocpp1.6\r\n{headers}\r\n"
    ).encode()


def reserved_bit(frame: bytes, bit: int) -> bytes:
    """The frame with one of the bits set that only an extension may set."""
    return bytes([frame[0] | bit]) + frame[1:]


def asked_to_reserve(session: ChargerSession, reservation_id: int = 7) -> asyncio.Task[ReserveNowResult]:
    """Berth asks the charger to reserve its port 1."""
    terms = Terms(port_id=1, port_number=1, expires_at=datetime.now(UTC) + timedelta(hours=1), id_tag="ABC")
    write_before = asyncio.get_running_loop().time() + 10
    return asyncio.create_task(
        session.reserve_now(
            reservation_id, terms, call_timeout=timedelta(seconds=10), write_before=write_before
        )
    )


@asynccontextmanager
async def asked(stack: Stack, version: str = "1.6") -> AsyncIterator[tuple[Station, ChargerSession]]:
    """A charger that can be asked to reserve."""
    async with stack.station(version) as station:
        await station.boot()
        yield station, await stack.session()


# --- answers ---------------------------------------------------------------------------------------------


@attack
async def an_answer_given_twice(stack: Stack) -> None:
    async with asked(stack) as (station, session):
        for number in range(10):
            reserving = asked_to_reserve(session, number)
            message_id, _ = await station.asked("ReserveNow")
            for status in ("Accepted", "Rejected", "Accepted"):
                await station.answer(message_id, {"status": status})
            assert (await reserving).status is ReserveStatus.ACCEPTED
        await station.call("Heartbeat")


@attack
async def a_call_error_with_details_as_text(stack: Stack) -> None:
    async with asked(stack) as (station, session):
        reserving = asked_to_reserve(session)
        message_id, _ = await station.asked("ReserveNow")
        await station.socket.send(json.dumps([4, message_id, "GenericError", "no", "details as text"]))
        assert (await reserving).error == "GenericError"


@attack
async def answers_that_say_nothing(stack: Stack) -> None:
    async with asked(stack) as (station, session):
        for tail in (
            [],
            [None],
            ["Accepted"],
            [["Accepted"]],
            [{"status": ["Accepted"]}],
            [{"status": "accepted"}],
            [{"status": "Perhaps"}],
            [{"status": {"status": "Accepted"}}],
            [{"status": "A" * 60_000}],
        ):
            reserving = asked_to_reserve(session)
            message_id, _ = await station.asked("ReserveNow")
            await station.socket.send(json.dumps([3, message_id, *tail]))
            assert (await reserving).error == "InvalidResponse", tail


@attack
async def answers_with_very_long_words(stack: Stack) -> None:
    async with asked(stack, "2.0.1") as (station, session):
        reserving = asked_to_reserve(session)
        message_id, _ = await station.asked("ReserveNow")
        info = {"reasonCode": "r" * 60_000}
        await station.answer(message_id, {"status": "Rejected", "statusInfo": info})
        assert len((await reserving).reason or "") <= 50

        reserving = asked_to_reserve(session)
        message_id, _ = await station.asked("ReserveNow")
        await station.refuse(message_id, "E" * 60_000)
        assert len((await reserving).error or "") <= 50


# --- frames ----------------------------------------------------------------------------------------------


@attack
async def a_frame_of_1_MB(stack: Stack) -> None:
    async with attacker(stack) as socket:
        await socket.send(json.dumps([2, "x", "DataTransfer", {"data": "x" * 1_000_000}]))
        assert await close_code(socket) == 1009


@attack
async def a_message_of_1_MB_in_small_pieces(stack: Stack) -> None:
    async with attacker(stack) as socket:
        with contextlib.suppress(ConnectionClosed):
            await socket.send("x" * 500 for _ in range(2000))
        assert await close_code(socket) == 1009


@attack
async def a_compression_bomb(stack: Stack) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b" " * 50_000_000) + deflate.flush(zlib.Z_SYNC_FLUSH)
    async with wire(stack) as one:
        await one.write(request("/ocpp/CP-1", "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
        await one.reader.readuntil(b"\r\n\r\n")
        await one.write(reserved_bit(Frame(Opcode.TEXT, bomb[:-4]).serialize(mask=True), 0x40))
        assert b"\x03\xf1" in await one.rest()  # 1009


@attack
async def a_message_of_endless_empty_pieces(stack: Stack) -> None:
    async with wire(stack) as one:
        await one.upgrade()
        await one.send(b"", fin=False)
        pieces = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 1000
        for _ in range(50):
            if not await one.write(pieces):
                break
        assert b"\x03\xf1" in await one.rest()  # 1009


@attack
async def half_a_frame_and_then_nothing(stack: Stack) -> None:
    async with wire(stack) as one:
        await one.upgrade()
        await one.write(Frame(Opcode.TEXT, b"x" * 60_000).serialize(mask=True)[:100])
        await one.rest()  # the ping finds it out


@attack
async def frames_that_break_the_websocket_protocol(stack: Stack) -> None:
    for data in (
        Frame(Opcode.TEXT, HEARTBEAT.encode()).serialize(mask=False),
        b"\x83\x80\x00\x00\x00\x00",  # reserved opcode
        reserved_bit(Frame(Opcode.TEXT, b"x").serialize(mask=True), 0x20),
        Frame(Opcode.CONT, b"x").serialize(mask=True),
        b"\x09\x81\x00\x00\x00\x00x",  # a piece of a ping
        Frame(Opcode.CLOSE, b"\x00\x01").serialize(mask=True),
        Frame(Opcode.CLOSE, b"\x03\xe8\xff\xff").serialize(mask=True),
        b"\x81\xff" + b"\xff" * 8,  # 2 ** 64 - 1 bytes announced
        os.urandom(2000) + b"\xff" * 2000,
    ):
        async with wire(stack) as one:
            await one.upgrade()
            await one.write(data)
            await one.rest()


@attack
async def sockets_that_die_in_every_way(stack: Stack) -> None:
    for _ in range(10):
        async with attacker(stack) as socket:
            await socket.send(HEARTBEAT)
            socket.transport.abort()
        async with wire(stack) as one:
            await one.upgrade()
            await one.send(HEARTBEAT.encode())
        async with wire(stack) as one:
            await one.upgrade()
            one.writer.write_eof()
            await one.rest()


# --- floods ----------------------------------------------------------------------------------------------


@attack
async def a_flood_of_5_000_calls_whose_answers_are_not_read(stack: Target) -> None:
    async with wire(stack, receive_buffer=4096) as one:
        await one.upgrade()
        calls = Frame(Opcode.TEXT, HEARTBEAT.encode()).serialize(mask=True) * 100
        for _ in range(50):
            if not await one.write(calls, within=1):
                break
        await asyncio.sleep(0)


@attack
async def a_flood_of_2_000_calls_whose_answers_are_read(stack: Stack) -> None:
    async with attacker(stack) as socket:
        reading = asyncio.create_task(frames_until(socket, "last"))
        for number in range(2000):
            await socket.send(f'[2,"{number}","Heartbeat",{{}}]')
        await socket.send('[2,"last","Heartbeat",{}]')
        assert [frame[1] for frame in await reading] == [str(number) for number in range(2000)]


@attack
async def a_flood_of_pings_whose_pongs_are_not_read(stack: Target) -> None:
    async with wire(stack, receive_buffer=4096) as one:
        await one.upgrade()
        pings = Frame(Opcode.PING, b"p" * 125).serialize(mask=True) * 1000
        for _ in range(200):  # 26 MB, as much to answer
            if not await one.write(pings, within=1):
                break
        else:
            raise AssertionError("all pings were taken, and their pongs kept in memory")
        await one.rest()


@attack
async def a_flood_of_5_000_frames_that_are_none(stack: Stack) -> None:
    async with attacker(stack) as socket:
        for _ in range(5000):
            await socket.send("rubbish")
        await is_answered(socket)


@attack
async def a_flood_of_2_000_answers_nobody_asked_for(stack: Stack) -> None:
    async with attacker(stack) as socket:
        for number in range(2000):
            await socket.send(json.dumps([3, f"x{number}", {"status": "Accepted"}]))
        await is_answered(socket)


@attack
async def a_flood_of_2_000_different_actions(stack: Stack) -> None:
    async with attacker(stack) as socket:
        for number in range(2000):
            await socket.send(json.dumps([2, "x", f"Action{number}" + "x" * 1000, {}]))
        await is_answered(socket)


@attack
async def a_flood_of_300_calls_of_60_kB(stack: Stack) -> None:
    async with attacker(stack) as socket:
        for _ in range(300):
            await socket.send(json.dumps([2, "x", "DataTransfer", {"data": "x" * 60_000}]))
        await is_answered(socket)


@attack
async def ten_thousand_connector_ids(stack: Stack) -> None:
    async with attacker(stack) as socket:
        status = {"errorCode": "NoError", "status": "Available"}
        numbers = [10**9, 2**31, -1, *range(10_000)]
        for first in range(0, len(numbers), 500):
            for number in numbers[first : first + 500]:
                payload = status | {"connectorId": number}
                await socket.send(json.dumps([2, "x", "StatusNotification", payload]))
            await is_answered(socket)
    charger = await stack.database.chargers.by_identity("CP-1")
    assert charger is not None
    assert len(charger.ports) <= 99


@attack
async def a_boot_loop_on_one_socket(stack: Stack) -> None:
    async with stack.station() as station:
        for _ in range(300):
            await station.boot()


@attack
async def a_boot_loop_over_many_sockets(stack: Stack) -> None:
    for _ in range(30):
        async with stack.station() as station:
            await station.boot()


@attack
async def fifty_sockets_of_one_charger_at_once(stack: Stack) -> None:
    async def live() -> int | None:
        async with attacker(stack) as socket:
            await asyncio.sleep(0)
            return await close_code(socket)

    lives = [asyncio.create_task(live()) for _ in range(50)]
    await until(lambda: sum(life.done() for life in lives) >= 49, within=30)
    for session in stack.registry:
        if session.ocpp_identity == "CP-1":
            session.close(1000, "the test is over")  # type: ignore[arg-type]  # a CloseCode is an int
    assert set(await asyncio.gather(*lives)) == {1000}


# --- contents --------------------------------------------------------------------------------------------


@attack
async def times_no_calendar_has(stack: Stack) -> None:
    start: Payload = {"connectorId": 1, "idTag": "ABC", "meterStart": 0}
    async with stack.station() as station:
        for timestamp in (
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "10000-01-01T00:00:00Z",
            "2026-11-22T14:32:37+03",
            "2026-11-22T14:32:37.123456789Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T14:32:60Z",
            "2026-02-30T00:00:00Z",
            "2026-11-22 14:32",
            "22.11.2026 14:32",
            "yesterday",
            "",
            "9" * 50_000,
            1795357957,
            None,
            {"date": "2026-11-22"},
        ):
            started = await station.call("StartTransaction", start | {"timestamp": timestamp})
            assert started["transactionId"] > 0, timestamp
            stop = {"transactionId": started["transactionId"], "meterStop": 1, "timestamp": timestamp}
            await station.call("StopTransaction", stop)
            await station.call(
                "StatusNotification",
                {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": timestamp},
            )


ODD_VALUES: list[Any] = [
    *(2**31, -(2**31) - 1, 2**64 - 1, 1e300, -1e300, 0.5),
    *("7", "x" * 5_000, "\0", [[]], {}, True),
]


@attack
async def numbers_and_words_no_field_holds(stack: Stack) -> None:
    async with stack.station() as station:
        for value in ODD_VALUES:
            await station.call("Authorize", {"idTag": value})
            await station.call(
                "StartTransaction",
                dict.fromkeys(("connectorId", "idTag", "meterStart", "timestamp", "reservationId"), value),
            )
            await station.call("StopTransaction", dict.fromkeys(("transactionId", "meterStop"), value))
            status = {"connectorId": 1, "status": "Available", "errorCode": value, "info": value}
            await station.call("StatusNotification", status)
            await station.call("BootNotification", {"chargePointVendor": value, "chargePointModel": value})
    async with stack.station("2.0.1") as station:
        for value in ODD_VALUES:
            await station.call("Authorize", {"idToken": {"idToken": value, "type": value}})
            update: Payload = {"reservationId": value, "reservationUpdateStatus": value}
            await station.call("ReservationStatusUpdate", update)
            for event in ("Started", "Updated", "Ended"):
                await station.call(
                    "TransactionEvent",
                    {
                        "eventType": event,
                        "timestamp": value,
                        "triggerReason": value,
                        "seqNo": value,
                        "transactionInfo": {"transactionId": value},
                        "evse": {"id": value, "connectorId": value},
                        "idToken": {"idToken": value, "type": value},
                        "reservationId": value,
                    },
                )


@attack
async def very_long_words_in_an_event_for_a_reservation(stack: Stack) -> None:
    async with stack.station("2.0.1") as station:
        await station.boot()
        charger = await stack.database.chargers.by_identity("CP-1")
        assert charger is not None
        row = await stack.subscribe(charger.id)
        before = len(stack.temporal.said("transaction_started"))
        await station.call(
            "TransactionEvent",
            {
                "eventType": "Started",
                "timestamp": "2026-11-22T14:32:37Z",
                "triggerReason": "Authorized",
                "seqNo": 0,
                "transactionInfo": {"transactionId": "t" * 50_000},
                "evse": {"id": 1, "connectorId": 1},
                "idToken": {"idToken": "i" * 5_000, "type": "Central"},
            },
        )
        await until(lambda: len(stack.temporal.said("transaction_started")) > before)
        # A timeline of such events must fit what Temporal stores of a workflow.
        assert len(stack.temporal.said("transaction_started")[-1].model_dump_json()) < 2000
        await stack.database.subscriptions.remove(row.workflow_id, row.first_run_id)


# --- handshakes ------------------------------------------------------------------------------------------


@attack
async def handshakes_that_are_none(stack: Stack) -> None:
    for sent in (
        request("/ocpp/CP-1", "".join(f"X-Header-{number}: x\r\n" for number in range(200))),
        request("/ocpp/CP-1", f"X-Long: {'x' * 100_000}\r\n"),
        request("/ocpp/" + "x" * 20_000),
        request("/ocpp/CP-1", method="POST"),
        request("/ocpp/CP-1", "Content-Length: 5\r\n") + b"hello",
        request("/ocpp/CP-1", "Transfer-Encoding: chunked\r\n"),
        request("/ocpp/CP-1", "Sec-WebSocket-Key: again\r\n"),
        request("/ocpp/CP-1", "Sec-WebSocket-Version: 8\r\n"),
        request("/ocpp/CP-1", "no colon in this header\r\n"),
        request("/ocpp/CP-1", protocol="HTTP/0.9"),
        request("/ocpp/é".encode("latin-1").decode("latin-1")),
        b"GET / HTTP/1.1\r\nHost: berth\r\n\r\n",
        b"GET /health HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500) + b"\r\n\r\n",  # TLS hello
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"\x00" * 10_000,
        os.urandom(10_000) + b"\r\n\r\n",
    ):
        async with wire(stack) as one:
            await one.write(sent)
            answer = await one.rest()
            assert not answer.startswith(b"HTTP/1.1 101")
            assert b"Traceback" not in answer


@attack
async def a_handshake_that_is_given_up_half_way(stack: Stack) -> None:
    for sent in (b"", b"G", b"GET /ocpp/CP-1 HTTP/1.1\r\nHost: b", request("/ocpp/CP-1")):
        for _ in range(5):
            async with wire(stack) as one:
                await one.write(sent)


@attack
async def thirty_handshakes_of_a_byte_at_a_time(stack: Stack) -> None:
    async def drip() -> float:
        began_at = time.monotonic()
        async with wire(stack) as one:
            ending = asyncio.create_task(one.rest())
            for byte in request("/ocpp/CP-1"):
                if ending.done() or not await one.write(bytes([byte])):
                    break
                await asyncio.wait({ending}, timeout=0.1)
            await ending
        return time.monotonic() - began_at

    for lasted in await asyncio.gather(*(drip() for _ in range(30))):
        assert lasted < OPEN_TIMEOUT + 5


@attack
async def a_hundred_sockets_that_never_say_a_word(stack: Stack) -> None:
    async def hold() -> None:
        async with wire(stack) as one:
            await one.rest()

    await asyncio.gather(*(hold() for _ in range(100)))


@attack
async def sockets_half_open_after_the_handshake(stack: Stack) -> None:
    async def hold(number: int) -> None:
        async with wire(stack) as one:
            await one.upgrade(f"HALF-{number}")
            await one.rest()  # it answers no ping

    await asyncio.gather(*(hold(number) for number in range(20)))


@attack
async def identities_that_are_none(stack: Stack) -> None:
    encoded = ("x" * 1000, "%00", "a%0d%0aSet-Cookie:x", "%FF%FE", "%C0%AE", "%E2%80%AE", "%ED%A0%80", "a/b")
    for identity in (*encoded, ""):
        with pytest.raises(InvalidStatus) as refused:
            await attacker(stack, identity=identity)
        assert refused.value.response.status_code == 404, identity


@attack
async def a_path_traversal_in_the_identity_is_a_name_like_any_other(stack: Stack) -> None:
    for identity in ("..%2F..%2Fetc%2Fpasswd", "%2e%2e%5C%2e%2e", "'%3BDROP%20TABLE%20chargers%3B--"):
        async with attacker(stack, identity=identity) as socket:
            await is_answered(socket)


@attack
async def thirty_wrong_passwords(stack: Stack) -> None:
    async def guess(number: int) -> int:
        headers = basic(GUARDED, f"guess-{number}".encode())
        with pytest.raises(InvalidStatus) as refused:
            await attacker(stack, identity=GUARDED, additional_headers=headers)
        return refused.value.response.status_code

    answers = [await asyncio.gather(*(guess(first + more) for more in range(5))) for first in range(0, 30, 5)]
    assert set(answers[0]) == {401}
    assert {answer for later in answers[1:] for answer in later} == {429}, "nobody looks at a sixth"
