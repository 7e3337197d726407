"""The keys that payloads in Temporal are encrypted with, as BERTH_PAYLOAD_KEY has them."""

import base64
import binascii
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

_KEY_BYTES = 32
_KEY = re.compile(r"(?P<id>[A-Za-z0-9._-]{1,64}):(?P<secret>[A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class PayloadKey:
    """A 256-bit key and the id under which payloads name it."""

    id: str
    secret: bytes = field(repr=False)

    @property
    def proof(self) -> str:
        """Tells it from every other key, and nothing about it: HMAC-SHA256 of its id, hexadecimal."""
        return hmac.digest(self.secret, self.id.encode(), "sha256").hex()

    def in_setting(self) -> str:
        """As BERTH_PAYLOAD_KEY wants it."""
        return f"{self.id}:{base64.b64encode(self.secret).decode()}"


def fresh_key() -> PayloadKey:
    """A new random key; its id is the day it was made."""
    return PayloadKey(f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(2)}", secrets.token_bytes(_KEY_BYTES))


def parse_keys(setting: str) -> tuple[PayloadKey, ...]:
    """The keys of BERTH_PAYLOAD_KEY, `id:base64` each, commas between them.

    Raises ValueError; its text quotes nothing of the setting.
    """
    keys = tuple(_parse_key(number, text.strip()) for number, text in enumerate(setting.split(","), start=1))
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("must give each key an id of its own")
    return keys


def _parse_key(number: int, text: str) -> PayloadKey:
    found = _KEY.fullmatch(text)
    if found is None:
        raise ValueError(
            f"key {number} must be like id:base64, with commas between several; `berth payload-key` makes one"
        )
    try:
        secret = base64.b64decode(found["secret"], validate=True)
    except binascii.Error:
        raise ValueError(f"key {number} is not base64; `berth payload-key` makes one") from None
    if len(secret) != _KEY_BYTES:
        raise ValueError(f"key {number} must have {_KEY_BYTES} bytes, not {len(secret)}")
    return PayloadKey(found["id"], secret)
