"""TLS on the gateway's port: what OCPP asks of it, and whose certificates chargers may show.

OCPP 2.0.1 part 2 A00.FR.301–429; the security white paper gives 1.6 the same.
"""

import ssl
from pathlib import Path

import structlog

from berth.settings import Settings
from berth.tls import ServerTls
from gateway.gateway_metrics import HANDSHAKES_REJECTED

log = structlog.get_logger(__name__)

# A00.FR.318 names four suites, two of them without forward secrecy: chargers that can do better are asked to.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:AES256-GCM-SHA384:AES128-GCM-SHA256"


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


class GatewayTls(ServerTls):
    """An authority that is gone from the chargers' file of them is trusted until the next start."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None) -> None:
        """Load the files. Raises CertificateError."""
        self._client_ca = client_ca
        super().__init__(certificate, key)

    def files(self) -> list[Path]:
        """The authorities too."""
        return super().files() + ([] if self._client_ca is None else [self._client_ca])

    def new_context(self) -> ssl.SSLContext:
        """TLS 1.2 at least, without compression (A00.FR.307, 310, 417, 421), and OCPP's suites."""
        context = super().new_context()
        context.set_ciphers(_CIPHERS)
        context.sslobject_class = _Handshake
        if self._client_ca is not None:
            # Not every charger has one: who needs one is decided when its identity is known.
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def load(self, context: ssl.SSLContext) -> None:
        """The authorities too."""
        super().load(context)
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)


def gateway_tls(settings: Settings) -> GatewayTls | None:
    """TLS as the settings ask for it; None: plain sockets. Raises CertificateError."""
    if settings.gateway_tls_cert is None or settings.gateway_tls_key is None:
        return None
    return GatewayTls(settings.gateway_tls_cert, settings.gateway_tls_key, settings.gateway_client_ca)


def _tell(reason: str) -> None:
    HANDSHAKES_REJECTED.labels("tls_failed").inc()
    log.info("charger_refused", reason=reason)
