"""The Prometheus metrics of deliveries to webhooks; docs/reference/metrics.md says more."""

from prometheus_client import Counter, Gauge

WEBHOOK_ATTEMPTS = Counter(
    "berth_webhook_attempts_total",
    "Attempts to deliver an event to a webhook: `delivered`, `failed` (another one follows); and `given_up`: "
    "deliveries that ended without.",
    ("outcome",),
)
WEBHOOKS_PENDING = Gauge(
    "berth_webhook_deliveries_pending",
    "Deliveries that have not ended, of all workers: every worker shows the same, so take the greatest. NaN "
    "while the database fails.",
)
WEBHOOKS_OLDEST_AGE = Gauge(
    "berth_webhook_oldest_pending_age_seconds",
    "Age of the oldest of those deliveries, 0 without any; likewise the same at every worker.",
)
