"""One attempt to deliver an event: an HTTP POST, signed, to an address that was checked.

A receiver knows that an event is Berth's by HMAC-SHA256 over the time of the attempt and the body.
"""

import asyncio
import hashlib
import hmac
import secrets
import ssl
import time
from dataclasses import dataclass

import httpx

from webhooks.target import Resolve, TargetRefused, checked_addresses, parse, resolve

TIMEOUT = 10.0
"""Seconds that a receiver has, from the look-up of its name to the status of its answer."""

_CONNECT_TIMEOUT = 4.0  # for each address
_ADDRESSES_TRIED = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: HTTP's status, or a sentence for people that says why there is none."""

    status: int | None = None
    error: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends events. No proxies, no redirects, no cookies, no connection used twice."""

    def __init__(self, allow_private: bool, resolve: Resolve = resolve, timeout: float = TIMEOUT) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._timeout = timeout
        self._tls: ssl.SSLContext | None = None

    async def send(self, url: str, secret: str, event_id: str, event_type: str, body: bytes) -> Outcome:
        """Try once; what can go wrong with a receiver is an outcome, not an exception."""
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Berth",
            "Berth-Event-Id": event_id,
            "Berth-Event-Type": event_type,
            HEADER: signature(secret, timestamp, body),
        }
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(parse(url, self._allow_private), headers, body)
        except TargetRefused as error:
            return Outcome(error=f"the URL {error}")
        except (TimeoutError, httpx.TimeoutException):
            return Outcome(error=f"no answer within {self._timeout:.0f} s")
        except httpx.HTTPError as error:
            return Outcome(error=_sentence(error))

    async def _post(self, url: httpx.URL, headers: dict[str, str], body: bytes) -> Outcome:
        addresses = await checked_addresses(url, self._allow_private, self._resolve)
        *others, last = addresses[:_ADDRESSES_TRIED]
        for address in others:
            try:
                return await self._post_to(address, url, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(last, url, headers, body)

    async def _post_to(self, address: str, url: httpx.URL, headers: dict[str, str], body: bytes) -> Outcome:
        if self._tls is None:
            self._tls = httpx.create_ssl_context()  # once: it reads some hundred certificates
        # A client each: the library would use a connection again for another name at the same address.
        async with (
            httpx.AsyncClient(
                verify=self._tls,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(self._timeout, connect=_CONNECT_TIMEOUT),
            ) as client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers={"Host": url.netloc.decode("ascii"), **headers},
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            ) as response,
        ):
            # The body is not read: nothing in it matters, and it may never end.
            status = response.status_code
        if 300 <= status < 400:
            return Outcome(status, f"HTTP {status}: redirects are not followed")
        return Outcome(status, None if 200 <= status < 300 else f"HTTP {status}")


def _sentence(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not good: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "no connection: TLS failed"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return f"the connection broke ({type(error).__name__})"


HEADER = "Berth-Signature"


def new_secret() -> str:
    """The secret of a new webhook."""
    return "whsec_" + secrets.token_urlsafe(32)


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `HEADER` for an attempt at `timestamp` (unix seconds)."""
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"
