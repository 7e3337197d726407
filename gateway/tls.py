"""TLS on the gateway's port: its certificate, which may be renewed, and whose certificates chargers may show.

OCPP 2.0.1 part 2 A00.FR.301–429; the security white paper gives 1.6 the same.
"""

import asyncio
import ssl
from collections.abc import Iterable
from pathlib import Path

import structlog

from gateway.metrics import HANDSHAKES_REJECTED
from settings import Settings

log = structlog.get_logger(__name__)

LOOK_EVERY = 60.0
"""Seconds between looks at the files."""

# A00.FR.318 names four suites, two of them without forward secrecy: chargers that can do better are asked to.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:AES256-GCM-SHA384:AES128-GCM-SHA256"

_Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """The gateway's certificate, its key or the chargers' authorities cannot be used."""


class _Handshake(ssl.SSLObject):
    """A handshake that says why it fails: asyncio drops the connection without a word."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLCertVerificationError as error:
            _tell(f"client certificate: {error.verify_message}")
            raise
        except ssl.SSLError as error:
            _tell(f"TLS handshake: {error.reason or 'was ended'}")
            raise


class GatewayTls:
    """The one context of all handshakes; sockets that are open keep the certificate they began with."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Load the files. Raises CertificateError."""
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._stamp = self._look()
        self.context = self._new_context()

    def reload(self) -> None:
        """Use the files as they are now, for new handshakes. Raises CertificateError, changing nothing.

        An authority that is gone from the file is trusted until the next start.
        """
        stamp = self._look()
        self._new_context()  # half a new pair in the context in use would fail every handshake
        self._load(self.context)
        self._stamp = stamp
        log.info("certificate_loaded")

    def reload_or_tell(self) -> None:
        """`reload`; files that cannot be used are logged, and the old ones stay in use."""
        try:
            self.reload()
        except CertificateError as error:
            log.error("certificate_not_loaded", error=str(error))

    async def watch(self, every: float = LOOK_EVERY) -> None:
        """Reload whenever a file has changed, for ever."""
        while True:
            await asyncio.sleep(every)
            if self._has_changed():
                self.reload_or_tell()

    def _has_changed(self) -> bool:
        try:
            return self._look() != self._stamp
        except CertificateError:  # amid a renewal; `reload` tells, if it lasts
            return True

    def _look(self) -> _Stamp:
        try:
            return tuple(_facts(self._files()))
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}") from error

    def _files(self) -> list[Path]:
        return [path for path in (self._certificate, self._key, self._client_ca) if path is not None]

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # A00.FR.307, A00.FR.417
        context.options |= ssl.OP_NO_COMPRESSION  # A00.FR.310, A00.FR.421
        context.set_ciphers(_CIPHERS)
        context.sslobject_class = _Handshake
        if self._client_ca is not None:
            # Not every charger has one: who needs one is decided when its identity is known.
            context.verify_mode = ssl.CERT_OPTIONAL
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            # With a password of its own it never asks for one on the terminal.
            context.load_cert_chain(self._certificate, self._key, password="")
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
        except (OSError, ValueError) as error:
            names = ", ".join(map(str, self._files()))
            raise CertificateError(f"{names}: {error}") from error


def gateway_tls(settings: Settings) -> GatewayTls | None:
    """TLS as the settings ask for it; None: plain sockets. Raises CertificateError."""
    if settings.gateway_tls_cert is None or settings.gateway_tls_key is None:
        return None
    return GatewayTls(settings.gateway_tls_cert, settings.gateway_tls_key, settings.gateway_client_ca)


def _tell(reason: str) -> None:
    HANDSHAKES_REJECTED.labels("tls_failed").inc()
    log.info("charger_refused", reason=reason)


def _facts(files: Iterable[Path]) -> Iterable[tuple[int, int, int]]:
    for file in files:
        facts = file.stat()
        yield facts.st_ino, facts.st_size, facts.st_mtime_ns
