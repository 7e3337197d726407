"""The codec server: decrypts payloads for Temporal's UI and command line.

Temporal's protocol for remote codecs: POST /encode and /decode, `Payloads` as JSON both ways.
"""

import asyncio
import hmac
import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from google.protobuf import json_format
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload, Payloads

from berth.errors import StartError
from berth.http_server import HttpServer, serve_until
from berth.payload_keys import parse_keys
from berth.settings import Settings
from berth.temporal.codec import PayloadEncryption, UnreadablePayload

log = structlog.get_logger(__name__)

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request's body; Temporal takes no message of more than 4 MB, which base64 makes longer."""


def codec_app(settings: Settings) -> Starlette:
    """The application. Raises StartError without a key, and without a token on an address others reach."""
    if settings.payload_key is None:
        raise StartError("BERTH_PAYLOAD_KEY: the codec server needs it; `berth payload-key` makes one")
    if settings.codec_token is None and not _is_loopback(settings.codec_host):
        raise StartError(
            f"BERTH_CODEC_TOKEN: is required, for others reach {settings.codec_host}; "
            "or set BERTH_CODEC_HOST to a loopback address"
        )
    codec = PayloadEncryption(parse_keys(settings.payload_key.get_secret_value()))

    async def encode(request: Request) -> Response:
        return _answer(await codec.encode((await _payloads(request, settings.codec_token)).payloads))

    async def decode(request: Request) -> Response:
        try:
            return _answer(await codec.decode((await _payloads(request, settings.codec_token)).payloads))
        except UnreadablePayload as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"a payload cannot be read: {error}") from error

    cors = Middleware(
        CORSMiddleware,
        allow_origins=_ui_origins(settings),
        allow_methods=["POST"],
        allow_headers=["Authorization", "Authorization-Extras", "Content-Type", "X-Namespace"],
        allow_credentials=True,
        allow_private_network=True,
    )
    middleware = [cors]
    if settings.codec_token is None:
        # A page whose name was made to lead here (DNS rebinding) is of our origin: CORS does not hold it.
        hosts = ["127.0.0.1", "localhost", "[::1]", settings.codec_host]
        middleware.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False))
    return Starlette(
        routes=[Route("/encode", encode, methods=["POST"]), Route("/decode", decode, methods=["POST"])],
        middleware=middleware,
        exception_handlers={HTTPException: _error},
    )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises StartError as `codec_app` does."""
    server = HttpServer(codec_app(settings), settings.codec_host, settings.codec_port)
    log.info("codec_server_listening", host=settings.codec_host, port=settings.codec_port)
    await serve_until(stop, server)
    log.info("codec_server_stopped")


async def _payloads(request: Request, token: SecretStr | None) -> Payloads:
    """What the caller sent, once it has shown the token. Raises HTTPException."""
    given = request.headers.get("authorization", "").encode()
    if token is not None and not hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode()):
        raise HTTPException(
            HTTPStatus.UNAUTHORIZED,
            "the codec server's bearer token is required",
            {"WWW-Authenticate": "Bearer"},
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body: must have at most {MAX_BODY} bytes"
            )
    try:
        return json_format.Parse(bytes(body), Payloads(), ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, RecursionError):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body: must be Temporal's Payloads as JSON") from None


def _answer(payloads: list[Payload]) -> Response:
    return Response(json_format.MessageToJson(Payloads(payloads=payloads)), media_type="application/json")


async def _error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # it is registered for no other
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ui_origins(settings: Settings) -> list[str]:
    """Where pages of the Temporal UI come from; people open a local one under either name."""
    url = urlsplit(settings.temporal_ui_url or f"http://127.0.0.1:{settings.temporal_ui_port}")
    origin = f"{url.scheme}://{url.netloc}"
    if url.hostname not in ("127.0.0.1", "localhost"):
        return [origin]
    port = f":{url.port}" if url.port else ""
    return [f"{url.scheme}://{name}{port}" for name in ("127.0.0.1", "localhost")]
