"""A charger's socket and nothing else: cheap enough to load a gateway from one other process.

It writes frames that were made beforehand and only counts what comes back. OCPP 1.6, no compression.
"""

import asyncio
import base64
import secrets
import ssl
from typing import Any, Self

import orjson

_TEXT = 0x81  # a final text frame
_PING, _PONG = 0x89, 0x8A


class RawCharger:
    """One open websocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int, identity: str, tls: ssl.SSLContext | None = None) -> Self:
        """Connect to the gateway on a port of 127.0.0.1. Raises RuntimeError when it refuses."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        writer.write(
            f"GET /ocpp/{identity} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer.split(b"\r\n")[0]:
            raise RuntimeError(f"{identity} was refused: {answer.decode()}")
        return cls(reader, writer)

    async def call(self, frame: bytes) -> bytes:
        """Send a frame of `call_frame` and wait for the answer's text."""
        self._writer.write(frame)
        while True:
            kind, payload = await self._read()
            if kind == _PING:
                self._writer.write(masked(_PONG, payload))
            elif payload.startswith(b"[2,"):  # what it can do is asked some seconds after it connected
                message_id = orjson.loads(payload)[1]
                self._writer.write(masked(_TEXT, orjson.dumps([4, message_id, "NotImplemented", "", {}])))
            elif kind == _TEXT:
                return payload

    async def stay(self) -> None:
        """Answer pings until cancelled."""
        while True:
            kind, payload = await self._read()
            if kind == _PING:
                self._writer.write(masked(_PONG, payload))

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()

    async def _read(self) -> tuple[int, bytes]:
        kind, length = await self._reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await self._reader.readexactly(2))
        return kind, await self._reader.readexactly(length)


def call_frame(action: str, payload: dict[str, Any]) -> bytes:
    """A CALL, ready to be written; the answer to one is awaited before the next, so that ids may repeat."""
    return masked(_TEXT, orjson.dumps([2, "1", action, payload]))


def masked(kind: int, payload: bytes) -> bytes:
    """A client's frame, under the mask of four zeros: legal (RFC 6455 §5.3), and nothing to compute."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    return bytes([kind]) + length + bytes(4) + payload


BOOT = call_frame("BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "Raw"})
