"""The kind of route that everything below /api has: a known caller first, then a strict body."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.auth import authenticate
from api.json_request import JsonRequest
from api.services import services_of


class ApiRoute(APIRoute):
    """Reads the body of an authenticated caller only who has requests left, and as strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the caller's key as `request.state.api_key`."""
        handler = super().get_route_handler()

        async def authenticated(request: Request) -> Response:
            key = await authenticate(request)
            here = await services_of(request)
            here.key_use.note(key.id)
            await here.rate_limit.count(key.id)
            request.state.api_key = key
            return await handler(JsonRequest(request.scope, request.receive))

        return authenticated
