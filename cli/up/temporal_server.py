"""The embedded Temporal server: `temporal server start-dev` on files of ours, tuned for one machine."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from berth.errors import StartError
from berth.temporal.namespace import ensure_search_attributes, keep_histories, search_attribute_types
from cli.up.parent_death import mortal

READY_WITHIN = 30.0
"""Seconds the server has to answer; it needs well under one in memory, a few on a slow disk."""

STOP_WITHIN = 10.0
"""Seconds it has to end when asked to."""

DYNAMIC_CONFIG = {
    # One history shard is read 20 times a second by default, which makes a lone reservation wait 150 ms.
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    # It has all search attributes from its start; reading them anew for every request costs 3 % of its time.
    "system.forceSearchAttributesCacheRefreshOnRead": "false",
}

TIME_SKIPPING = {"frontend.WorkflowTimeSkippingEnabled": "true"}
"""For tests only: lets a workflow's clock jump to its next timer."""


@dataclass(frozen=True)
class TemporalServer:
    """One embedded server: how it is started, and how to know that it is there."""

    cli: Path
    port: int
    ui_port: int
    database: Path | None = None
    """Its SQLite file; None keeps everything in memory."""
    log: Path | None = None
    """Where its own words go; None drops them."""
    namespace: str = "default"
    codec_endpoint: str | None = None
    """The codec server that its UI asks what encrypted payloads say."""
    ready_within: float = READY_WITHIN
    dynamic_config: dict[str, str] = field(default_factory=lambda: DYNAMIC_CONFIG)

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str:
        """Where people look."""
        return f"http://127.0.0.1:{self.ui_port}"

    def command(self) -> list[str]:
        """Program and arguments."""
        words = [str(self.cli), "server", "start-dev", "--ip", "127.0.0.1", "--log-level", "warn"]
        words += ["--port", str(self.port), "--ui-port", str(self.ui_port), "--ui-disable-news-fetch"]
        if self.namespace != "default":  # which always exists
            words += ["--namespace", self.namespace]
        if self.codec_endpoint is not None:
            words += ["--ui-codec-endpoint", self.codec_endpoint]
        if self.database is not None:
            words += ["--db-filename", str(self.database)]
            # Safe when processes die, and twice as fast; a power cut may cost the last moments.
            words += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
        for name, type_ in search_attribute_types().items():
            words += ["--search-attribute", f"{name}={type_}"]
        for key, value in self.dynamic_config.items():
            words += ["--dynamic-config-value", f"{key}={value}"]
        return words

    async def prepare(self) -> Client:
        """Wait until the server answers, then see to its namespace; a client of it.

        Raises StartError when it takes longer than `ready_within`.
        """
        deadline = time.monotonic() + self.ready_within
        while True:
            try:
                client = await Client.connect(
                    self.address, namespace=self.namespace, data_converter=pydantic_data_converter
                )
                await keep_histories(client)
                await ensure_search_attributes(client)
                return client
            except (RuntimeError, RPCError, StartError) as error:  # not listening yet, or not all of it
                if time.monotonic() > deadline:
                    where = f", see {self.log}" if self.log else ""
                    raise StartError(
                        f"the embedded Temporal server does not answer at {self.address}{where}"
                    ) from error
                await asyncio.sleep(0.1)

    @contextmanager
    def running(self) -> Iterator["TemporalServer"]:
        """Run it for the length of a block, from code that has no event loop. For tests and tools.

        Raises StartError when it does not come up.
        """
        process = subprocess.Popen(
            mortal(self.command()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            asyncio.run(_prepared(self))
            yield self
        finally:
            process.terminate()
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _prepared(server: TemporalServer) -> None:
    await server.prepare()
