"""A small scripted central system: answers what chargers say, and says what a test wants."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Self

from jsonschema_rs import Draft4Validator, Draft6Validator
from ocpp.messages import get_validator  # type: ignore[import-untyped]  # ships no types
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Payload = dict[str, Any]


@lru_cache
def _validator(kind: int, action: str, version: str) -> Draft4Validator | Draft6Validator:
    schema = get_validator(kind, action, version).schema
    return Draft4Validator(schema) if version == "1.6" else Draft6Validator(schema)


class Link:
    """One charger's socket as the central system sees it."""

    def __init__(self, central: "CentralSystem", socket: ServerConnection) -> None:
        self.central = central
        self.socket = socket
        self.identity = socket.request.path.rsplit("/", 1)[-1] if socket.request else ""
        self.version = "1.6" if socket.subprotocol == "ocpp1.6" else "2.0.1"
        self.frames: list[tuple[str, list[Any]]] = []
        self._open: dict[str, tuple[str, asyncio.Future[list[Any]]]] = {}
        self._count = 0

    async def ask(self, action: str, payload: Payload) -> list[Any]:
        """Send a CALL; the whole answering frame."""
        self._count += 1
        message_id = f"cs-{self._count}"
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._open[message_id] = (action, future)
        frame = [2, message_id, action, payload]
        self.frames.append(("tx", frame))
        await self.socket.send(json.dumps(frame))
        async with asyncio.timeout(60):
            return await future

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL; the payload of its CALLRESULT."""
        frame = await self.ask(action, payload)
        assert frame[0] == 3, frame
        result: Payload = frame[2]
        return result

    def order(self) -> list[str]:
        """What was said in which order, e.g. `rx StatusNotification Reserved`, `rx answer Accepted`."""
        lines = []
        for direction, frame in self.frames:
            if frame[0] == 2:
                payload = frame[3]
                word = payload.get("connectorStatus") or payload.get("status") or ""
                lines.append(f"{direction} {frame[2]} {word}".rstrip())
            elif frame[0] == 3 and direction == "rx":
                lines.append(f"rx answer {frame[2].get('status', '')}".rstrip())
        return lines

    async def read(self) -> None:
        async for message in self.socket:
            try:
                frame = json.loads(message)
            except ValueError:
                self.central.garbage.append(str(message))
                continue
            self.frames.append(("rx", frame))
            self.central.said.append((self.identity, frame))
            if frame[0] == 2:
                self._validate(2, frame[2], frame[3])
                asyncio.ensure_future(self._answer(frame))  # noqa: RUF006  # ends with the loop
            elif frame[1] in self._open:
                action, future = self._open.pop(frame[1])
                if frame[0] == 3:
                    self._validate(3, action, frame[2])
                if not future.done():
                    future.set_result(frame)

    async def _answer(self, frame: list[Any]) -> None:
        answer = await self.central.answer(self, frame[2], frame[3])
        if answer is None:
            return
        self.frames.append(("tx", [3, frame[1], answer]))
        try:
            await self.socket.send(json.dumps([3, frame[1], answer]))
        except ConnectionClosed:
            return

    def _validate(self, kind: int, action: str, payload: Payload) -> None:
        for error in _validator(kind, action, self.version).iter_errors(payload):
            self.central.violations.append(f"{self.identity} {action}: {error.message}")


class CentralSystem:
    """Listens on a free port unless told one. `groups` are parent tags, `blocked` tokens refused."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.links: dict[str, Link] = {}
        self.said: list[tuple[str, list[Any]]] = []
        self.violations: list[str] = []
        self.garbage: list[str] = []
        self.groups: dict[str, str] = {}
        self.blocked: set[str] = set()
        self.silent_to: set[str] = set()
        self.connections = 0
        self.headers: list[dict[str, str]] = []
        self.before_answer: Callable[[Link, str, Payload], Awaitable[None]] | None = None
        self._server: Server | None = None
        self._transactions = 100

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/ocpp"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._on_socket,
            "127.0.0.1",
            self.port,
            subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")],
            compression=None,
            ping_interval=None,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def calls(self, identity: str, action: str) -> list[Payload]:
        """The payloads of what a charger sent, over all its sockets."""
        return [
            frame[3] for name, frame in self.said if name == identity and frame[0] == 2 and frame[2] == action
        ]

    def statuses(self, identity: str, port_number: int) -> list[str]:
        """The statuses it reported for a port."""
        return [
            payload.get("connectorStatus") or payload["status"]
            for payload in self.calls(identity, "StatusNotification")
            if payload.get("evseId", payload["connectorId"]) == port_number
        ]

    async def answer(self, link: Link, action: str, payload: Payload) -> Payload | None:
        if self.before_answer is not None:
            await self.before_answer(link, action, payload)
        if action in self.silent_to:
            return None
        now = "2026-01-01T00:00:00Z"
        if action == "BootNotification":
            return {"currentTime": now, "interval": 300, "status": "Accepted"}
        if action == "Heartbeat":
            return {"currentTime": now}
        if action in ("Authorize", "StartTransaction") and link.version == "1.6":
            answer: Payload = {"idTagInfo": self._welcome(payload["idTag"], "parentIdTag")}
            if action == "StartTransaction":
                self._transactions += 1
                answer["transactionId"] = self._transactions
            return answer
        if "idToken" in payload:
            info = self._welcome(payload["idToken"]["idToken"], "groupIdToken")
            if "groupIdToken" in info:
                info["groupIdToken"] = {"idToken": info["groupIdToken"], "type": "Central"}
            return {"idTokenInfo": info}
        return {}

    def _welcome(self, id_tag: str, group_key: str) -> Payload:
        info: Payload = {"status": "Blocked" if id_tag in self.blocked else "Accepted"}
        if id_tag in self.groups:
            info[group_key] = self.groups[id_tag]
        return info

    async def _on_socket(self, socket: ServerConnection) -> None:
        link = Link(self, socket)
        self.connections += 1
        if socket.request is not None:
            self.headers.append(dict(socket.request.headers.raw_items()))
        self.links[link.identity] = link
        try:
            await link.read()
        except ConnectionClosed:
            return
