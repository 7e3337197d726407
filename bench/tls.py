"""How many TLS handshakes does one gateway make in a second?

A connection is opened, asks whether the gateway lives, and is closed; beside those with TLS are some without.
The clients are blocking sockets in threads of this process, no dearer than what they ask for.
"""

import os
import socket
import ssl
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.certificates import Authority, client_context, gateway_settings, p256, rsa2048
from bench.stack import BERTH, Stack
from bench.table import Figure
from bench.usage import cpu_seconds
from berth.database import migrate_async
from berth.ports import free_port

CLIENTS = 8  # each waits for its answer before the next connection
ROUNDS, SECONDS = 4, 1.0  # of each kind in turn, after one round that does not count

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@dataclass(frozen=True)
class Kind:
    """A gateway and how it is connected to."""

    name: str
    port: int
    process: int
    context: ssl.SSLContext | None


@dataclass(frozen=True)
class Round:
    """What one round of a kind saw."""

    count: int  # connections
    elapsed: float  # seconds
    cpu: Counter[str]  # seconds, of gateway and clients


async def measure() -> list[Figure]:
    """Connections a second without TLS, with either kind of certificate, and with the charger's too."""
    with Stack() as stack, ThreadPoolExecutor(CLIENTS) as threads:
        await migrate_async(stack.database_url)
        kinds = await _start(stack)
        rounds = [[_round(threads, kind) for kind in kinds] for _ in range(1 + ROUNDS)][1:]
    return [_figure(kind, list(seen)) for kind, seen in zip(kinds, zip(*rounds, strict=True), strict=True)]


async def _start(stack: Stack) -> list[Kind]:
    authority = Authority.fresh()
    trusted = authority.trusted(stack.folder)
    ec_pair = authority.certify(stack.folder, "gateway-p256", p256())
    rsa_pair = authority.certify(stack.folder, "gateway-rsa", rsa2048())
    own = authority.certify(stack.folder, "charger", p256())
    return [
        await _start_gateway(stack, "no TLS", {}, None),
        await _start_gateway(stack, "TLS, P-256", gateway_settings(ec_pair), client_context()),
        await _start_gateway(stack, "TLS, RSA 2048", gateway_settings(rsa_pair), client_context()),
        await _start_gateway(
            stack,
            "TLS, both P-256",
            gateway_settings(ec_pair) | {"BERTH_GATEWAY_CLIENT_CA": str(trusted)},
            client_context(own),
        ),
    ]


async def _start_gateway(
    stack: Stack, name: str, settings: dict[str, str], context: ssl.SSLContext | None
) -> Kind:
    port = free_port()
    process = stack.start(
        f"gateway-{port}",
        [*BERTH, "gateway", "--id", f"{port}"],
        BERTH_GATEWAY_PORT=str(port),
        TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}",
        **settings,
    )
    await stack.until_listening(port)
    return Kind(name, port, process, context)


def _round(threads: ThreadPoolExecutor, kind: Kind) -> Round:
    processes = {"gateway": kind.process, "clients": os.getpid()}
    started, before = time.perf_counter(), cpu_seconds(processes)
    deadline = started + SECONDS
    count = sum(threads.map(lambda _: _connections(kind, deadline), range(CLIENTS)))
    elapsed, after = time.perf_counter() - started, cpu_seconds(processes)
    after.subtract(before)
    return Round(count, elapsed, after)


def _connections(kind: Kind, deadline: float) -> int:
    count = 0
    while time.perf_counter() < deadline:
        with socket.create_connection(("127.0.0.1", kind.port)) as connection:
            if kind.context is None:
                _ask(connection)
            else:
                with kind.context.wrap_socket(connection) as encrypted:
                    _ask(encrypted)
        count += 1
    return count


def _ask(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    answer = connection.recv(4096)
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise RuntimeError(f"the gateway answered {answer.decode()}")


def _figure(kind: Kind, rounds: list[Round]) -> Figure:
    rate = statistics.median(seen.count / seen.elapsed for seen in rounds)
    cpu, count = sum((seen.cpu for seen in rounds), Counter()), sum(seen.count for seen in rounds)
    gateway, clients = (cpu[name] / count * 1e6 for name in ("gateway", "clients"))
    return Figure(
        f"connections, {kind.name}", f"{rate:.0f}/s, {gateway:.0f} µs of CPU each, clients {clients:.0f} µs"
    )
