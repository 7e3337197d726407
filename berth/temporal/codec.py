"""Encryption of what Temporal stores of a workflow: AES-256-GCM, with keys that never leave Berth.

Inputs, results, signals, failures, summaries: every payload. Ids, types and search attributes are none.
"""

import os
from collections.abc import Sequence
from dataclasses import replace

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

from berth.payload_keys import PayloadKey, parse_keys

# The names that Temporal's own samples use: its tools then know an encrypted payload when they see one.
ENCODING, ENCRYPTED = "encoding", b"binary/encrypted"
KEY_ID = "encryption-key-id"

_NONCE_BYTES = 12


class UnreadablePayload(Exception):
    """A payload that none of the keys decrypts; the text is a sentence for people that names its key's id."""


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
