"""Every setting of Berth, from the environment (prefix BERTH_), and which release this is."""

import re
from functools import partial
from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import (
    Field,
    RedisDsn,
    SecretStr,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from berth.payload_keys import parse_keys


class Settings(BaseSettings):
    """Berth's settings; Temporal's own are read by its SDK (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, …)."""

    model_config = SettingsConfigDict(env_prefix="BERTH_", extra="ignore")

    var: Path = Field(
        default_factory=partial(user_data_path, "berth", appauthor=False),
        description="Folder of what Berth keeps on this machine; by default the platform's place for data, "
        "`~/.local/share/berth` on Linux. `make up` keeps it in `var/`.",
    )
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8080, ge=0, le=65535, description="Port of the API.")
    api_tls_cert: Path | None = Field(
        None,
        description="The API's certificate with its chain (PEM): it then speaks https only. "
        "A renewed file is used within a minute, on SIGHUP at once.",
    )
    api_tls_key: Path | None = Field(
        None, validate_default=True, description="Its private key (PEM), without a password."
    )
    gateway_host: str = Field("127.0.0.1", description="Address the gateway listens on for chargers.")
    gateway_port: int = Field(9000, ge=0, le=65535, description="Port of the gateway.")
    gateway_tls_cert: Path | None = Field(
        None,
        description="The gateway's certificate with its chain (PEM): chargers then connect by `wss://` only. "
        "A renewed file is used within a minute, on SIGHUP at once.",
    )
    gateway_tls_key: Path | None = Field(
        None, validate_default=True, description="Its private key (PEM), without a password."
    )
    gateway_client_ca: Path | None = Field(
        None,
        description="Authorities (PEM) whose certificates chargers may show instead of a password "
        "(security profile 3); the common name is the charger's OCPP identity.",
    )
    database_url: str = Field(
        "",
        description="The database: `sqlite:///path` or `postgresql+asyncpg://user@host/name`; by default "
        "the file `berth.db` in BERTH_VAR.",
    )
    bootstrap_api_key: SecretStr | None = Field(
        None, description="An API key (at least 32 characters) that is created at start."
    )
    unknown_chargers: Literal["refuse", "register"] = Field(
        "refuse", description="What happens to a charger that is not in the database."
    )
    open_chargers: bool = Field(False, description="Accept chargers that have no password.")
    unknown_tokens: Literal["accept", "refuse"] = Field(
        "accept", description="How Authorize answers a token that is in no list."
    )
    offline_policy: Literal["retry", "reject"] = Field(
        "retry", description="What a reservation does while its charger is offline."
    )
    group_on_201: bool = Field(True, description="Send parentIdTag as groupIdToken on OCPP 2.0.1.")
    ocpp_call_timeout: float = Field(30, gt=0, le=300, description="Seconds a charger has to answer a call.")
    ocpp_ping_interval: float = Field(20, ge=0, description="Seconds between websocket pings; 0 = none.")
    expiry_grace: float = Field(
        30, ge=0, description="Seconds after expiryDate before a reservation is expired."
    )
    settle: float = Field(
        60, ge=0, description="Seconds to wait for a late word before concluding from a status."
    )
    connection_timeout: float = Field(
        120, ge=0, description="Seconds a 2.0.1 driver has to plug in after the card."
    )
    max_days_ahead: int = Field(31, ge=1, description="How far ahead expiryDate may be, in days.")
    rate_limit: int = Field(200, ge=0, description="Requests a minute per API key; 0 = no limit.")
    rate_limit_store: SecretStr | None = Field(
        None,
        description="A Redis URL (redis://, rediss://), where API processes count requests together; "
        "else each counts for itself.",
    )
    worker_build: str | None = Field(
        None,
        description="The build id of a worker, such as its release, for Temporal's worker deployments; "
        "without it workers are unversioned.",
    )
    worker_versioning: Literal["pinned", "auto_upgrade"] = Field(
        "pinned",
        description="With BERTH_WORKER_BUILD: whether a reservation stays on the build it began with, or "
        "moves to the current one at its next step.",
    )
    worker_health_host: str = Field("127.0.0.1", description="Address a worker's health is served on.")
    worker_health_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's `/health/live` and `/health/ready`, for probes; 0 = none.",
    )
    webhook_private_targets: bool = Field(
        False, description="Let webhooks point into private networks, and be `http://`."
    )
    payload_key: SecretStr | None = Field(
        None,
        description="Encrypts what Temporal stores: `id:base64`, with commas between several keys; the first "
        "encrypts, all decrypt. `berth payload-key` makes one.",
    )
    codec_host: str = Field("127.0.0.1", description="Address the codec server listens on.")
    codec_port: int = Field(8234, ge=0, le=65535, description="Port of the codec server.")
    codec_token: SecretStr | None = Field(
        None,
        description="What callers of the codec server must bring as bearer token (at least 32 characters); "
        "not needed on a loopback address.",
    )
    temporal_cli: Path | None = Field(
        None, description="The Temporal command line tool whose server `berth up` starts."
    )
    temporal_port: int = Field(7233, ge=0, le=65535, description="Port of the embedded Temporal server.")
    temporal_ui_port: int = Field(8233, ge=0, le=65535, description="Port of the embedded Temporal UI.")
    temporal_ui_url: str | None = Field(
        None,
        description="Where people find the Temporal UI: for links, and the origin the codec server answers.",
    )
    simulated_chargers: int = Field(2, ge=0, description="Simulated chargers that `berth up` starts.")
    simulator_port: int = Field(
        9100, ge=0, le=65535, description="Port of the simulated chargers' control (`berth control`)."
    )
    load_log_interval: float = Field(
        60, ge=0, description="Seconds between the gateway's log lines about what waits in it; 0 = none."
    )
    metrics_host: str = Field("127.0.0.1", description="Address that metrics are served on.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65534,
        description="Port for Prometheus: Berth's metrics, and those of Temporal's SDK on the next port; "
        "0 = none. `berth up` gives two ports each to gateway, API and worker, from this one on.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important log lines that are written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="How log lines look; auto = for people in a terminal, JSON elsewhere."
    )

    @property
    def api_scheme(self) -> str:
        """How the API's URL begins."""
        return "http" if self.api_tls_cert is None else "https"

    @property
    def gateway_scheme(self) -> str:
        """How the URL of a charger's socket begins."""
        return "ws" if self.gateway_tls_cert is None else "wss"

    @field_validator("bootstrap_api_key", "codec_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value

    @field_validator("api_tls_key", "gateway_tls_key")
    @classmethod
    def _is_a_pair(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        key = str(info.field_name)
        certificate = key.replace("_key", "_cert")
        if (value is None) != (info.data.get(certificate) is None):
            raise ValueError(f"BERTH_{certificate.upper()} and BERTH_{key.upper()} need each other")
        return value

    @field_validator("gateway_client_ca")
    @classmethod
    def _with_tls(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("gateway_tls_cert") is None:
            raise ValueError("needs BERTH_GATEWAY_TLS_CERT")
        return value

    @field_validator("payload_key")
    @classmethod
    def _has_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_keys(value.get_secret_value())
        return value

    @field_validator("worker_build")
    @classmethod
    def _is_a_build_id(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}", value):
            raise ValueError("must begin with a letter or digit, have only these and . _ + - and 128 at most")
        return value

    @field_validator("rate_limit_store")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            if value is not None:
                TypeAdapter(RedisDsn).validate_python(value.get_secret_value())
        except ValidationError:
            raise ValueError("must be like redis://host:6379/0") from None
        return value

    @model_validator(mode="after")
    def _database_in_var(self) -> "Settings":
        if "database_url" not in self.model_fields_set:
            self.database_url = f"sqlite:///{self.var}/berth.db"
        return self
