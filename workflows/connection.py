"""How every process of Berth reaches Temporal."""

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

DEFAULT_ADDRESS = "localhost:7233"


class TemporalUnreachable(Exception):
    """Temporal does not answer at the configured address."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"Temporal does not answer at {address}: set TEMPORAL_ADDRESS, or use `berth up`")


async def connect(*, lazy: bool = False) -> Client:
    """A client made from the standard TEMPORAL_* variables.

    Raises TemporalUnreachable when the server does not answer; a lazy client connects on first use.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        return await Client.connect(**config, data_converter=pydantic_data_converter, lazy=lazy)
    except RuntimeError as error:  # the SDK's only word for "no connection"
        raise TemporalUnreachable(str(config["target_host"])) from error
