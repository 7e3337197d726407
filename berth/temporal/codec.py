"""Encryption of what Temporal stores of a workflow: AES-256-GCM, with keys that never leave Berth.

Inputs, results, signals, failures, summaries: every payload. Ids, types and search attributes are none.
"""

import base64
import binascii
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

# The names that Temporal's own samples use: its tools then know an encrypted payload when they see one.
ENCODING, ENCRYPTED = "encoding", b"binary/encrypted"
KEY_ID = "encryption-key-id"

_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY = re.compile(r"(?P<id>[A-Za-z0-9._-]{1,64}):(?P<secret>[A-Za-z0-9+/=]+)")


class UnreadablePayload(Exception):
    """A payload that none of the keys decrypts; the text is a sentence for people that names its key's id."""


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
    """A new random key; its id tells the day it was made."""
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


class PayloadEncryption(PayloadCodec):
    """Encrypts with the first key and decrypts with any; without keys it leaves payloads as they are.

    Payloads from before encryption was switched on are read as they are.
    """

    def __init__(self, keys: Sequence[PayloadKey]) -> None:
        self._ciphers = {key.id: AESGCM(key.secret) for key in keys}
        self._first = keys[0].id if keys else None

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt each payload whole, its metadata too."""
        if self._first is None:
            return list(payloads)
        return [self._encrypt(payload, self._first) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt those that are encrypted. Raises UnreadablePayload."""
        return [
            self._decrypt(payload) if payload.metadata.get(ENCODING) == ENCRYPTED else payload
            for payload in payloads
        ]

    def _encrypt(self, payload: Payload, key_id: str) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, payload.SerializeToString(), key_id.encode())
        return Payload(metadata={ENCODING: ENCRYPTED, KEY_ID: key_id.encode()}, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get(KEY_ID, b"").decode(errors="replace")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UnreadablePayload(
                f"it is encrypted with the key {key_id!r}, which is not among those of BERTH_PAYLOAD_KEY"
            )
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, key_id.encode()))
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            raise UnreadablePayload(
                f"it is damaged, or its key {key_id!r} is another one than that of BERTH_PAYLOAD_KEY"
            ) from None


def data_converter(payload_key: SecretStr | None) -> DataConverter:
    """Berth's converter of values to payloads; with keys payloads, and the texts of failures, are encrypted.

    Raises ValueError when the setting is malformed.
    """
    keys = parse_keys(payload_key.get_secret_value()) if payload_key is not None else ()
    converter = replace(pydantic_data_converter, payload_codec=PayloadEncryption(keys))
    if not keys:
        return converter  # the texts of failures stay where Temporal's UI shows them
    return replace(converter, failure_converter_class=DefaultFailureConverterWithEncodedAttributes)
