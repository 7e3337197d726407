"""How every process of Berth reaches Temporal."""

from collections.abc import Sequence

from pydantic import SecretStr
from temporalio.client import Client, Interceptor
from temporalio.envconfig import ClientConfig

from berth.temporal.codec import data_converter

DEFAULT_ADDRESS = "localhost:7233"


class TemporalUnreachable(Exception):
    """Temporal does not answer at the configured address."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"Temporal does not answer at {address}: set TEMPORAL_ADDRESS, or use `berth up`")


async def connect(
    payload_key: SecretStr | None, *, lazy: bool = False, interceptors: Sequence[Interceptor] = ()
) -> Client:
    """A client made from the standard TEMPORAL_* variables, whose payloads are encrypted with `payload_key`.

    Raises TemporalUnreachable when the server does not answer; a lazy client connects on first use.
    """
    config = ClientConfig.load_client_connect_config()
    config.setdefault("target_host", DEFAULT_ADDRESS)
    try:
        return await Client.connect(
            **config, data_converter=data_converter(payload_key), lazy=lazy, interceptors=interceptors
        )
    except RuntimeError as error:  # the SDK's only word for "no connection"
        raise TemporalUnreachable(str(config["target_host"])) from error
