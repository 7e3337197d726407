"""TCP ports: finding a free one, and saying so when one is taken."""

import errno
import secrets
import socket

from berth.errors import StartError

LASTING = range(10_000, 32_768)
"""Below those that the system lends to connections, so that none takes the port while its process is away."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    while True:
        port = secrets.choice(LASTING)
        if not is_taken("127.0.0.1", port):
            return port


def is_taken(host: str, port: int) -> bool:
    """Whether another process listens there. Raises OSError when the address itself is no good."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: connections that linger from an earlier run do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def require_free(setting: str, host: str, port: int) -> None:
    """Raise StartError, naming the setting (API_PORT, …), unless we may listen there."""
    try:
        taken = is_taken(host, port)
    except OSError as error:
        name = f"BERTH_{setting}" if isinstance(error, PermissionError) else _host_setting(setting)
        raise StartError(f"{name}: cannot listen on {host}:{port} ({error.strerror})") from error
    if taken:
        raise StartError(
            f"BERTH_{setting}: port {port} of {host} is in use already; stop what uses it, or choose another"
        )


def _host_setting(setting: str) -> str:
    return f"BERTH_{setting.removesuffix('_PORT')}_HOST"
