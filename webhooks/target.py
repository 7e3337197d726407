"""Where a webhook may point: at the public internet, unless a setting allows every address.

Whoever has an API key names the URL, and it is our machine that calls it: without these rules an address
inside our own network would be as good as any. A name is looked up once, and what was checked is what is
connected to.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import httpx

LONGEST_URL = 2048

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host; raises OSError."""

_LOOK_UPS_AT_ONCE = 128  # more than the worker has deliveries at once: one that hangs takes no other's place
_threads = ThreadPoolExecutor(_LOOK_UPS_AT_ONCE, "webhook-dns")
_under_way: dict[str, Future[list[str]]] = {}

_PORTS = {"https": 443, "http": 80}

_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# In IANA's registries of special addresses, but not in those of every Python that Berth runs on.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # protocols of the IETF
            "192.88.99.0/24",  # relays of 6to4, given up by RFC 7526
            "3fff::/20",  # documentation, RFC 9637
        ),
    )
)


class TargetRefused(Exception):
    """A webhook must not point there; the text says why, and holds no address."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, the most promising first. Raises OSError.

    One look-up of a host at a time, for all who ask meanwhile: it may hang for longer than they wait.
    """
    answer = _under_way.get(host)
    if answer is None:
        answer = _under_way[host] = Future()
        answer.set_running_or_notify_cancel()  # from here on, who waits no longer cannot cancel it for others
        _threads.submit(_look_up, host, port, answer)
    return await asyncio.wrap_future(answer)


def _look_up(host: str, port: int, answer: Future[list[str]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:
        answer.set_exception(error)
    else:
        answer.set_result(list(dict.fromkeys(str(address[0]) for *_, address in found)))
    finally:
        del _under_way[host]


def parse(url: str, allow_private: bool) -> httpx.URL:
    """The URL, if its form is one that may be called. Raises TargetRefused."""
    if len(url) > LONGEST_URL:
        raise TargetRefused(f"must have at most {LONGEST_URL} characters")
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise TargetRefused("must be a URL like https://app.example/berth") from None
    if parsed.scheme not in _PORTS or not host:
        raise TargetRefused("must be a URL like https://app.example/berth")
    if parsed.scheme == "http" and not allow_private:
        raise TargetRefused("must begin with https://")
    if parsed.userinfo:
        raise TargetRefused("must have no user name or password: the signature says who calls")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise TargetRefused("must have a port that exists")
    return parsed


def port_of(url: httpx.URL) -> int:
    """The port, also when the URL leaves it out."""
    return url.port or _PORTS[url.scheme]


def receiver_of(url: str) -> str:
    """What stands for the machine behind a URL that was taken: its host and port."""
    parsed = httpx.URL(url)
    return f"{parsed.host}:{port_of(parsed)}"


async def checked_addresses(url: httpx.URL, allow_private: bool, resolve: Resolve = resolve) -> list[str]:
    """The addresses of the URL's host, every one of which may be called. Raises TargetRefused."""
    try:
        addresses = await resolve(url.raw_host.decode("ascii"), port_of(url))
    except (OSError, UnicodeError):
        addresses = ()
    if not addresses:
        raise TargetRefused("has a host that no name server knows")
    if not allow_private and not all(map(is_public, addresses)):
        raise TargetRefused("has a host in a private network (BERTH_WEBHOOK_PRIVATE_TARGETS)")
    return list(addresses)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet, also when it only wraps one of IPv4."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        wrapped = _wrapped(ip)
        if wrapped is not None:
            return is_public(str(wrapped))
        if ip not in _UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _SPECIAL)


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that this one leads to, where a router or the kernel unwraps it."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None
