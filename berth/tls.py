"""TLS on a port of ours: one context for all its handshakes, with a certificate that may be renewed."""

import asyncio
import signal
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

LOOK_EVERY = 60.0
"""Seconds between looks at the files."""

_Stamp = tuple[tuple[int, int, int], ...]


class CertificateError(Exception):
    """The certificate, its key or another file that belongs to them cannot be used."""


class ServerTls:
    """The one context of all handshakes; connections that are open keep the certificate they began with."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load the files. Raises CertificateError."""
        self._certificate = certificate
        self._key = key
        self._stamp = self._look()
        self.context = self.new_context()
        self._load_or_raise(self.context)

    def reload(self) -> None:
        """Use the files as they are now, for new handshakes. Raises CertificateError, changing nothing."""
        stamp = self._look()
        # Half a new pair in the context in use would fail every handshake.
        self._load_or_raise(self.new_context())
        self._load_or_raise(self.context)
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

    def files(self) -> list[Path]:
        """What is loaded, and looked at for changes."""
        return [self._certificate, self._key]

    def new_context(self) -> ssl.SSLContext:
        """A context without its files."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION
        return context

    def load(self, context: ssl.SSLContext) -> None:
        """Have the context use the files. Raises OSError or ValueError."""
        # With a password of its own it never asks for one on the terminal.
        context.load_cert_chain(self._certificate, self._key, password="")

    def _load_or_raise(self, context: ssl.SSLContext) -> None:
        try:
            self.load(context)
        except (OSError, ValueError) as error:
            names = ", ".join(map(str, self.files()))
            raise CertificateError(f"{names}: {error}") from error

    def _has_changed(self) -> bool:
        try:
            return self._look() != self._stamp
        except CertificateError:  # amid a renewal; `reload` tells, if it lasts
            return True

    def _look(self) -> _Stamp:
        try:
            return tuple(_facts(self.files()))
        except OSError as error:
            raise CertificateError(f"{error.filename}: {error.strerror}") from error


@contextmanager
def renewed(tls: ServerTls | None) -> Iterator[None]:
    """Meanwhile renewed files are used: within a minute, on SIGHUP at once."""
    if tls is None:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, tls.reload_or_tell)
    watching = asyncio.create_task(tls.watch())
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        watching.cancel()


def _facts(files: Iterable[Path]) -> Iterable[tuple[int, int, int]]:
    for file in files:
        facts = file.stat()
        yield facts.st_ino, facts.st_size, facts.st_mtime_ns
