"""A scripted charger: says what a test tells it, shows what it is asked."""

import asyncio
import base64
import json
import ssl
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Payload = dict[str, Any]


class Station:
    """One charger's end of a socket."""

    def __init__(
        self,
        url: str,
        subprotocol: str = "ocpp1.6",
        headers: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        address: str | None = None,
    ) -> None:
        """`address` is the one it calls from, of this machine; None: the system's choice."""
        self._connecting = connect(
            url,
            subprotocols=[Subprotocol(subprotocol)],
            additional_headers=headers,
            ssl=tls,
            ping_interval=None,
            close_timeout=2,
            local_addr=None if address is None else (address, 0),
        )
        self.calls: asyncio.Queue[tuple[Any, str, Payload]] = asyncio.Queue()
        self._answers: dict[Any, asyncio.Future[list[Any]]] = {}
        self._count = 0
        self._reader: asyncio.Task[None] | None = None
        self.socket: ClientConnection

    async def __aenter__(self) -> Self:
        self.socket = await self._connecting
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()
        if self._reader is not None:
            await self._reader

    async def ask(self, action: str, payload: Any, message_id: Any = None) -> list[Any]:
        """Send a CALL; the whole answering frame."""
        async with asyncio.timeout(60):
            return await (await self.send_call(action, payload, message_id))

    async def send_call(self, action: str, payload: Any, message_id: Any = None) -> asyncio.Future[list[Any]]:
        """Send a CALL; its answer, to wait for later."""
        if message_id is None:
            self._count += 1
            message_id = f"m{self._count}"
        answer = self.expect(message_id)
        await self.socket.send(json.dumps([2, message_id, action, payload]))
        return answer

    def expect(self, message_id: Any) -> asyncio.Future[list[Any]]:
        """The answer that will have this message id."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[message_id] = answer
        return answer

    async def call(self, action: str, payload: Payload | None = None) -> Payload:
        """Send a CALL; the payload of its CALLRESULT."""
        frame = await self.ask(action, payload)
        assert frame[0] == 3, frame
        answer: Payload = frame[2]
        return answer

    async def boot(self) -> None:
        """BootNotification, in the socket's version."""
        if self.socket.subprotocol == "ocpp1.6":
            await self.call("BootNotification", {"chargePointVendor": "Maker", "chargePointModel": "Model"})
        else:
            station = {"vendorName": "Maker", "model": "Model"}
            await self.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})

    async def asked(self, action: str) -> tuple[Any, Payload]:
        """The next CALL from Berth, which must be this one: its message id and payload."""
        async with asyncio.timeout(60):
            message_id, asked, payload = await self.calls.get()
        assert asked == action
        return message_id, payload

    async def answer(self, message_id: Any, payload: Payload) -> None:
        """Send a CALLRESULT."""
        await self.socket.send(json.dumps([3, message_id, payload]))

    async def refuse(self, message_id: Any, code: str) -> None:
        """Send a CALLERROR."""
        await self.socket.send(json.dumps([4, message_id, code, "", {}]))

    async def closed(self) -> tuple[int | None, str | None]:
        """Wait for the socket to end; its close code and reason."""
        async with asyncio.timeout(60):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    self.calls.put_nowait((frame[1], frame[2], frame[3]))
                elif frame[1] in self._answers:
                    self._answers.pop(frame[1]).set_result(frame)
        except ConnectionClosed:
            return


def basic(user_name: str, password: bytes) -> dict[str, str]:
    """The header of HTTP Basic authentication."""
    credentials = base64.b64encode(user_name.encode() + b":" + password).decode()
    return {"Authorization": f"Basic {credentials}"}
