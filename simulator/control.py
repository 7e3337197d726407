"""A small local HTTP control of running chargers.

    GET  /chargers                       all of them, in short
    GET  /chargers/{identity}            one: ports, reservations, the last frames (?frames=20)
    POST /chargers/{identity}/{action}   do something; arguments as a JSON object

The actions are the methods of SimulatedCharger listed in ACTIONS, and `{wrong}_next` for each
`Wrong`: `drop_after_next`, `call_error_next`, `late_next` …
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import uvicorn
from pydantic import ValidationError, validate_call
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulator.misbehaviour import Wrong

if TYPE_CHECKING:
    from simulator.charger import SimulatedCharger

ACTIONS: Mapping[str, str] = {
    "plug_in": "plug_in",
    "unplug": "unplug",
    "swipe": "swipe",
    "start": "start_charging",
    "remote_start": "remote_start",
    "stop": "stop_charging",
    "meter": "meter",
    "fault": "fault",
    "recover": "recover",
    "unavailable": "unavailable",
    "available": "available",
    "disconnect": "disconnect",
    "reconnect": "reconnect",
    "drop": "drop",
    "reboot": "reboot",
    "silence": "silence",
    "behave": "behave",
}
"""Action → method of SimulatedCharger."""


class ControlServer:
    """The control of some chargers; `port` 0 takes any free one."""

    def __init__(self, chargers: "Mapping[str, SimulatedCharger]", host: str, port: int) -> None:
        self.url: str | None = None
        self._chargers = chargers
        self._address = (host, port)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        listener = socket.create_server(self._address)
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        config = uvicorn.Config(self._app(), lifespan="off", ws="none", log_config=None, access_log=False)
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/chargers", self._all),
                Route("/chargers/{identity}", self._one),
                Route("/chargers/{identity}/{action}", self._do, methods=["POST"]),
            ]
        )

    async def _all(self, request: Request) -> JSONResponse:
        return JSONResponse([charger.snapshot(frames=0) for charger in self._chargers.values()])

    async def _one(self, request: Request) -> JSONResponse:
        charger = self._chargers.get(request.path_params["identity"])
        frames = request.query_params.get("frames", "20")
        if charger is None or not frames.isdigit():
            return _problem(404, "no such charger")
        return JSONResponse(charger.snapshot(frames=int(frames)))

    async def _do(self, request: Request) -> JSONResponse:
        charger = self._chargers.get(request.path_params["identity"])
        if charger is None:
            return _problem(404, "no such charger")
        action = request.path_params["action"]
        method = _method(charger, action)
        if method is None:
            return _problem(404, f"no action {action}; there are {', '.join(_names())}")
        arguments: dict[str, Any] = {}
        try:
            if await request.body():
                arguments = dict(await request.json())
            done = await validate_call(method)(**arguments)
        except ValidationError as error:
            return _problem(400, _mistakes(action, method, error))
        except (ValueError, TypeError) as error:
            return _problem(400, str(error))
        return JSONResponse({"result": done, **charger.snapshot(frames=0)})


def _method(charger: "SimulatedCharger", action: str) -> Callable[..., Awaitable[Any]] | None:
    if action in ACTIONS:
        method: Callable[..., Awaitable[Any]] = getattr(charger, ACTIONS[action])
        return method
    wrong = action.removesuffix("_next")
    if wrong != action and wrong in list(Wrong):
        return partial(charger.misbehave, Wrong(wrong))
    return None


def _mistakes(action: str, method: Callable[..., Any], error: ValidationError) -> str:
    taken = f"it takes {', '.join(signature(method).parameters) or 'nothing'}"
    sentences = []
    for mistake in error.errors():
        name = str(mistake["loc"][0])
        match mistake["type"]:
            case "missing_argument":
                sentences.append(f"{action} needs {name}: {taken}")
            case "unexpected_keyword_argument":
                sentences.append(f"{action} has no {name}: {taken}")
            case _:
                rule = mistake["msg"].split(", unable to parse")[0].replace("Input should", "must")
                sentences.append(f"{name} {rule}, got {mistake['input']!r}")
    return "; ".join(sentences)


def _names() -> list[str]:
    return [*ACTIONS, *(f"{wrong}_next" for wrong in Wrong)]


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


class _Server(uvicorn.Server):
    """A server inside somebody else's process: signals are not its business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
