"""The kind of route that everything below /api has: a known caller first, then a strict body."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.auth import authenticate
from api.json_request import JsonRequest


class ApiRoute(APIRoute):
    """Reads the body of an authenticated caller only, and as strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the caller's key as `request.state.api_key`."""
        handler = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            request.state.api_key = await authenticate(request)
            return await handler(JsonRequest(request.scope, request.receive))

        return authenticated
