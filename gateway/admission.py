"""Who may open a socket: everything that is decided before the upgrade.

OCPP-J 1.6 §3.1, §3.2, §6.2; OCPP 2.0.1 part 4 §3, part 2 A00 (security profiles), A05.FR.07.
"""

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import structlog
from websockets.http11 import Request

from berth.database import Charger, Credentials, Database
from berth.settings import Settings
from gateway.channel import Channel
from gateway.gateway_metrics import RefusalReason
from gateway.password_throttle import PasswordThrottle
from gateway.trusted_networks import TrustedNetworks

log = structlog.get_logger(__name__)

_MAX_IDENTITY = 48
_FIRST_SEGMENT = "ocpp"

# Security profiles (OCPP 2.0.1 part 2 A00; 0 is what plain 1.6 chargers have). 1: a password without TLS.
UNSECURED, TLS_WITH_PASSWORD, TLS_WITH_CERTIFICATE = 0, 2, 3


@dataclass(frozen=True, slots=True)
class Refusal:
    """The HTTP answer to a charger that may not connect."""

    reason: RefusalReason
    status: HTTPStatus
    text: str


_UNKNOWN = Refusal("unknown_charger", HTTPStatus.NOT_FOUND, "this charger is not known here")
_PASSWORD_MISSING = Refusal(
    "password_missing", HTTPStatus.UNAUTHORIZED, "a charger without a password is not accepted here"
)
_PASSWORD_NOT_SENT = Refusal("password_not_sent", HTTPStatus.UNAUTHORIZED, "a password is needed")
_PASSWORD_WRONG = Refusal("password_wrong", HTTPStatus.UNAUTHORIZED, "wrong user name or password")
_TOO_MANY_GUESSES = Refusal(
    "too_many_guesses", HTTPStatus.TOO_MANY_REQUESTS, "too many wrong passwords; try again later"
)
_CERTIFICATE_FOREIGN = Refusal(
    "certificate_foreign", HTTPStatus.FORBIDDEN, "the client certificate is not this charger's"
)
_CERTIFICATE_MISSING = Refusal(
    "certificate_missing",
    HTTPStatus.FORBIDDEN,
    "this charger needs a client certificate (security profile 3)",
)
_NOT_ENCRYPTED = Refusal(
    "profile_too_low", HTTPStatus.FORBIDDEN, "this charger needs TLS (security profile 2 or 3)"
)


class Admission:
    """Checks a charger's URL, and its certificate or password, against the database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        # One that forgot its password does not keep its neighbours out, nor strangers the charger itself
        # where it was before. A charger at an address that is new to us waits with those who guess at it.
        self._of_one = PasswordThrottle(at_once=5, every=10)
        self._of_many = PasswordThrottle(at_once=50, every=0.5)
        self._known = TrustedNetworks()

    async def check(self, request: Request, channel: Channel) -> Charger | Refusal:
        """The charger that may connect, or why it may not. Raises when the database fails."""
        identity = identity_in(request.path)
        if identity is None:
            return Refusal(
                "no_identity",
                HTTPStatus.NOT_FOUND,
                "connect to /ocpp/<identity>, an identity of 1 to 48 characters",
            )
        credentials = await self._database.chargers.credentials(identity)
        if credentials is None and self._settings.unknown_chargers == "refuse":
            return _UNKNOWN
        refusal = await self._not_shown(identity, credentials, request, channel)
        if refusal is not None:
            return refusal
        if credentials is None:
            charger = await self._database.chargers.register(identity)
            log.info("charger_registered", charger_id=charger.id, ocpp_identity=identity)
            return charger
        known = await self._database.chargers.by_id(credentials.charger_id)
        return known or _UNKNOWN

    async def _not_shown(
        self, identity: str, credentials: Credentials | None, request: Request, channel: Channel
    ) -> Refusal | None:
        """What the charger still has to show before it may come in."""
        if channel.has_certificate:
            return None if channel.is_of(identity) else _CERTIFICATE_FOREIGN
        least = None if credentials is None else credentials.security_profile
        # A00.FR.001, A05.FR.07: never less than is stored, whatever else it shows.
        if least is not None and least >= TLS_WITH_PASSWORD and not channel.is_encrypted:
            return _NOT_ENCRYPTED
        if least == TLS_WITH_CERTIFICATE:
            return _CERTIFICATE_MISSING
        is_open = self._settings.open_chargers if least is None else least == UNSECURED
        if credentials is None or not (credentials.password_hash or credentials.newer_password_hashes):
            return None if is_open else _PASSWORD_MISSING
        sent = request.headers.get_all("Authorization")
        needs_none = credentials.password_hash is None and is_open
        if not sent:
            return None if needs_none else _PASSWORD_NOT_SENT
        refusal = await self._not_right(password_in(sent, identity), identity, credentials, channel)
        # Until it has used its first password it may come as it came before.
        return None if needs_none else refusal

    async def _not_right(
        self, password: bytes | None, identity: str, credentials: Credentials, channel: Channel
    ) -> Refusal | None:
        """The check of a password, unless too many were wrong: each costs milliseconds of this process."""
        charger, network = f"charger {credentials.charger_id}", channel.network
        one, many = f"{charger} from {network}", (charger, network)
        asked = [(self._of_one, one), (self._of_many, network)]
        if not self._known.has(credentials.charger_id, network):
            asked.append((self._of_many, charger))
        for guesses, key in asked:
            if guesses.are_too_many(key):
                if guesses.is_news(key):
                    log.warning(
                        "charger_guesses_slowed", ocpp_identity=identity, address=channel.address, of=key
                    )
                return _TOO_MANY_GUESSES
        # Before the check: others of the same charger may be sent meanwhile.
        self._of_one.count(one)
        if password is None or not await self._opens(password, identity, credentials):
            for key in many:
                self._of_many.count(key)
            return _PASSWORD_WRONG
        self._of_one.forget(one)
        self._of_many.forget(charger)
        self._known.enter(credentials.charger_id, network)
        return None

    async def _opens(self, password: bytes, identity: str, credentials: Credentials) -> bool:
        if await credentials.check_password(password):
            return True
        newer = await credentials.newer_password(password)
        if newer is None:
            return False
        # A01.FR.03: from now on the older ones open no more.
        is_current = await self._database.password_changes.use(credentials.charger_id, newer)
        if is_current:
            log.info("new_password_used", charger_id=credentials.charger_id, ocpp_identity=identity)
        return is_current


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
