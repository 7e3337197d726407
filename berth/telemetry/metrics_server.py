"""Metrics on ports of their own: Berth's on BERTH_METRICS_PORT, those of Temporal's SDK on the next one."""

import prometheus_client
import structlog
from temporalio.runtime import PrometheusConfig

from berth.ports import require_free
from berth.settings import Settings

log = structlog.get_logger(__name__)

PORTS_PER_PROCESS = 2


def serve_metrics(settings: Settings) -> PrometheusConfig | None:
    """Serve `/metrics` in the background until the process ends; nothing when the port is 0.

    It is served by threads, so that a process whose event loop hangs still answers. How the SDK shall serve
    its own, if so, is the result. Raises StartError.
    """
    host, port = settings.metrics_host, settings.metrics_port
    if not port:
        return None
    for ours in range(port, port + PORTS_PER_PROCESS):
        require_free("METRICS_PORT", host, ours)
    # One more series for each counter, which says when it began: of no use here.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # it takes and gives nothing
    prometheus_client.start_http_server(port, host)
    log.info("metrics_served", host=host, port=port, temporal_port=port + 1)
    return _of_sdk(host, port + 1)


def _of_sdk(host: str, port: int) -> PrometheusConfig:
    return PrometheusConfig(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        # Names as Prometheus wants them.
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
