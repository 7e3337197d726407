"""TLS of one run: an authority and certificates (each one PEM file, key and certificate), and their use."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def p256() -> PrivateKey:
    """A fresh key of what authorities give today."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa2048() -> PrivateKey:
    """A fresh key of what every charger knows."""
    return rsa.generate_private_key(65537, 2048)


@dataclass(frozen=True)
class Authority:
    """Signs certificates."""

    name: x509.Name
    key: PrivateKey

    @classmethod
    def fresh(cls) -> "Authority":
        """One with a P-256 key."""
        return cls(_name("bench"), p256())

    def trusted(self, folder: Path) -> Path:
        """Its own certificate, for those who check."""
        return self._write(folder / "authority.pem", self.name, self.key, is_authority=True)

    def certify(self, folder: Path, common_name: str, key: PrivateKey) -> Path:
        """A certificate for a name, with its key."""
        return self._write(folder / f"{common_name}.pem", _name(common_name), key, is_authority=False)

    def _write(self, path: Path, subject: x509.Name, key: PrivateKey, *, is_authority: bool) -> Path:
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(self.name, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path


def gateway_settings(pair: Path) -> dict[str, str]:
    """What the gateway needs that shows this certificate."""
    return {"BERTH_GATEWAY_TLS_CERT": str(pair), "BERTH_GATEWAY_TLS_KEY": str(pair)}


def client_context(own: Path | None = None) -> ssl.SSLContext:
    """A client that checks nobody: that is work of its own, not of the gateway it meets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if own is not None:
        context.load_cert_chain(own)
    return context


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
