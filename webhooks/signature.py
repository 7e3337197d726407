"""How a receiver knows that an event is ours: HMAC-SHA256 over the time of the attempt and the body."""

import hashlib
import hmac
import secrets

HEADER = "Berth-Signature"


def new_secret() -> str:
    """The secret of a new webhook."""
    return "whsec_" + secrets.token_urlsafe(32)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `HEADER` for an attempt at `timestamp` (unix seconds)."""
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
