"""Who may open a socket: everything that is decided before the upgrade.

OCPP-J 1.6 §3.1, §3.2, §6.2; OCPP 2.0.1 part 4 §3, part 2 A00.FR.203–207.
"""

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import structlog
from websockets.http11 import Request

from directory import Charger, Directory
from gateway.metrics import RefusalReason
from settings import Settings

log = structlog.get_logger(__name__)

_MAX_IDENTITY = 48
_FIRST_SEGMENT = "ocpp"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP answer to a charger that may not connect."""

    reason: RefusalReason
    status: HTTPStatus
    text: str


_UNKNOWN = Refusal("unknown_charger", HTTPStatus.NOT_FOUND, "this charger is not known here")


class Admission:
    """Checks a charger's URL and password against the directory."""

    def __init__(self, directory: Directory, settings: Settings) -> None:
        self._directory = directory
        self._settings = settings

    async def check(self, request: Request) -> Charger | Refusal:
        """The charger that may connect, or why it may not. Raises when the directory fails."""
        identity = identity_in(request.path)
        if identity is None:
            return Refusal(
                "no_identity",
                HTTPStatus.NOT_FOUND,
                "connect to /ocpp/<identity>, an identity of 1 to 48 characters",
            )
        credentials = await self._directory.chargers.credentials(identity)
        if credentials is None and self._settings.unknown_chargers == "refuse":
            return _UNKNOWN
        if credentials is None or credentials.password_hash is None:
            if not self._settings.open_chargers:
                return Refusal(
                    "password_missing",
                    HTTPStatus.UNAUTHORIZED,
                    "a charger without a password is not accepted here",
                )
        else:
            password = password_in(request.headers.get_all("Authorization"), identity)
            if password is None or not await credentials.check_password(password):
                return Refusal("password_wrong", HTTPStatus.UNAUTHORIZED, "wrong user name or password")
        if credentials is None:
            charger = await self._directory.chargers.register(identity)
            log.info("charger_registered", charger_id=charger.id, ocpp_identity=identity)
            return charger
        known = await self._directory.chargers.by_id(credentials.charger_id)
        return known or _UNKNOWN


def identity_in(path: str) -> str | None:
    """The identity in `/ocpp/<identity>`, percent-decoded; None when there is none that can be one.

    Doubled and trailing slashes do not matter: chargers join their URL in many ways.
    """
    segments = [segment for segment in path.partition("?")[0].split("/") if segment]
    if len(segments) != 2 or segments[0] != _FIRST_SEGMENT:
        return None
    try:
        identity = unquote_to_bytes(segments[1]).decode()
    except UnicodeDecodeError:
        return None
    return identity if 1 <= len(identity) <= _MAX_IDENTITY and identity.isprintable() else None


def password_in(authorization: list[str], identity: str) -> bytes | None:
    """The password of HTTP Basic credentials whose user name is the identity; raw bytes, as sent.

    The password may hold any byte, also colons and NUL (OCPP 1.6-J §6.2.2), and the identity a colon.
    """
    if len(authorization) != 1:
        return None
    scheme, _, encoded = authorization[0].strip().partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        credentials = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user_name = f"{identity}:".encode()
    if credentials[: len(user_name)].lower() != user_name.lower():
        return None
    return credentials[len(user_name) :]
