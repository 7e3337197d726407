"""JSON bodies, read strictly: what two readers could understand differently is refused."""

import json
from typing import Any, NoReturn

from fastapi import Request

from api.errors import BadRequest, BodyTooLarge

MAX_BODY = 64 * 1024
"""Bytes of a request's body; the largest request that makes sense has under 2 KiB."""


class JsonRequest(Request):
    """A request whose body is at most 64 KiB of JSON. Raises BadRequest and BodyTooLarge."""

    _whole: bytes | None = None

    async def body(self) -> bytes:
        """The body's bytes."""
        if self._whole is None:
            self._whole = await self._read()
        return self._whole

    async def json(self) -> Any:
        """What the body says; object keys once only, no NaN, no Infinity."""
        return _parse(await self.body())

    async def _read(self) -> bytes:
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > MAX_BODY:
            raise _too_large()
        body = bytearray()
        async for chunk in self.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise _too_large()
        if body and not _is_json(self.headers.get("content-type", "application/json")):
            raise BadRequest("the body: must be sent as Content-Type: application/json")
        return bytes(body)


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the body: must have at most {MAX_BODY} bytes")


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise BadRequest("the body: is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise BadRequest("the body: must be UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadRequest(f"the body: is not JSON ({error.msg} at character {error.pos})") from error
    except ValueError as error:  # an integer of thousands of digits
        raise BadRequest("the body: has a number that is too long") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in known if names.count(name) > 1)
        raise BadRequest(f"{twice[:40]}: is there twice")
    return known


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequest(f"the body: {name} is not JSON")
