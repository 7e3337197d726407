"""How a charger's password is stored and checked: a salted scrypt hash of the secret's raw bytes."""

import binascii
import hashlib
import hmac
import secrets

# About 10 ms and 4 MiB a check: OCPP asks for secrets of 16 bytes and more, and after a restart of the
# gateway thousands of chargers show theirs within a minute.
_COST, _BLOCK, _LANES = 2**12, 8, 1

_HEX_DIGITS = range(32, 41)
"""Length of an AuthorizationKey of 16–20 bytes as hexadecimal text."""


def hash_password(password: str) -> str:
    """`scrypt$cost$block$lanes$salt$hash`, the last two in hexadecimal. Slow: run it in a thread."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(password.encode(), salt, _COST, _BLOCK, _LANES)
    return f"scrypt${_COST}${_BLOCK}${_LANES}${salt.hex()}${digest.hex()}"


def check_password(presented: bytes, password_hash: str) -> bool:
    """Whether `presented` is the secret, as bytes or as their hexadecimal text. Slow: run it in a thread."""
    _, cost, block, lanes, salt, digest = password_hash.split("$")
    found = _scrypt(presented, bytes.fromhex(salt), int(cost), int(block), int(lanes))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _scrypt(secret: bytes, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(_raw(secret), salt=salt, n=cost, r=block, p=lanes, dklen=32)


def _raw(secret: bytes) -> bytes:
    # Operators configure the key as hexadecimal text; chargers send its bytes, some the text itself.
    if len(secret) not in _HEX_DIGITS:
        return secret
    try:
        return binascii.unhexlify(secret)
    except binascii.Error:
        return secret
