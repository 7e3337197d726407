"""How a charger reaches us: from where, encrypted or not, and with whose certificate."""

import ipaddress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection


@dataclass(frozen=True, slots=True)
class Channel:
    """What the connection itself shows, before anything that is sent over it.

    The handshake of TLS has checked the certificate against our authorities: there is none that is not good.
    """

    address: str
    is_encrypted: bool = False
    has_certificate: bool = False
    certificate_name: str | None = None  # the one common name of its subject; None: there is not exactly one

    @property
    def network(self) -> str:
        """What one subscriber has: an address of IPv4, 2⁶⁴ of IPv6."""
        try:
            address = ipaddress.ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, ipaddress.IPv4Address):
            return str(address)
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))

    def is_of(self, identity: str) -> bool:
        """Whether the certificate is this charger's; identities do not know upper and lower case."""
        return self.certificate_name is not None and self.certificate_name.casefold() == identity.casefold()


def channel_of(connection: ServerConnection) -> Channel:
    """The channel that a charger's connection uses."""
    transport = connection.transport
    peer = transport.get_extra_info("peername")
    certificate: dict[str, Any] = transport.get_extra_info("peercert") or {}
    return Channel(
        address=str(peer[0]) if peer else "",
        is_encrypted=transport.get_extra_info("ssl_object") is not None,
        has_certificate=bool(certificate),
        certificate_name=_common_name(certificate),
    )


def _common_name(certificate: dict[str, Any]) -> str | None:
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None
