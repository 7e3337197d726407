"""The Prometheus metrics of a gateway; docs/reference/metrics.md says more."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import Counter, Gauge, Histogram

from berth.charger_link import NotSent
from gateway.frames import Answer, BrokenAnswer, CallError, CallResult

OTHER = "other"
"""Label of an action that the charger's version does not have: chargers must not choose labels."""

Outcome = Literal[
    "answered", "call_error", "broken_answer", "timeout", "socket_closed", "abandoned", "not_sent"
]
RefusalReason = Literal[
    "draining",
    "too_many_connections",
    "no_upgrade",
    "no_common_version",
    "no_identity",
    "unknown_charger",
    "password_missing",
    "password_not_sent",
    "password_wrong",
    "too_many_guesses",
    "profile_too_low",
    "certificate_missing",
    "certificate_foreign",
    "tls_failed",
    "directory_down",
]


def _listed(values: object) -> str:
    return ", ".join(f"`{value}`" for value in get_args(values))


CONNECTED = Gauge(
    "berth_connected_chargers", "Chargers whose socket this gateway holds, by subprotocol.", ("protocol",)
)
CALLS_TO = Counter(
    "berth_calls_to_chargers_total",
    f"CALLs of ours, by how they ended: {_listed(Outcome)}. A refusal is an answer. `abandoned`: nobody "
    "waited for it any more.",
    ("action", "outcome"),
)
CALL_DURATION = Histogram(
    "berth_call_to_charger_duration_seconds",
    "Seconds from the frame of a CALL of ours to its answer, of those that were answered.",
    ("action",),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
CALLS_FROM = Counter(
    "berth_calls_from_chargers_total",
    "CALLs of chargers that were answered, by how: `answered`, `NotImplemented`, `InternalError` (the "
    "database failed). The action of an unknown one is `other`.",
    ("action", "outcome"),
)
HANDSHAKES_REJECTED = Counter(
    "berth_handshakes_rejected_total",
    f"Chargers that were not let in: {_listed(RefusalReason)}.",
    ("reason",),
)
CALLS_WAITING = Gauge("berth_calls_waiting", "CALLs of chargers whose turn has not come, of all sockets.")
DELIVERIES_WAITING = Gauge(
    "berth_deliveries_waiting", "Chargers whose events are on their way from this gateway to workflows."
)
MESSAGES_WAITING = Gauge("berth_messages_waiting", "Exchanges that are not in the message log yet.")
MESSAGES_DROPPED = Counter(
    "berth_messages_dropped_total", "Exchanges that the message log gave up: its buffer was full."
)
EVENTS_UNDELIVERED = Gauge(
    "berth_events_undelivered",
    "Events in the database that no workflow has received yet, of all gateways: every gateway shows the "
    "same, so take the greatest. NaN while the database fails.",
)
EVENTS_OLDEST_AGE = Gauge(
    "berth_events_oldest_age_seconds",
    "Age of the oldest of those events, 0 without any; likewise the same at every gateway.",
)

# A rate over a series that begins with its first event misses that event.
for _reason in get_args(RefusalReason):
    HANDSHAKES_REJECTED.labels(_reason)


def count_call_to(action: str, answer: Answer | None, otherwise: Outcome, seconds: float) -> None:
    """Enter a CALL of ours that was written; `otherwise` says why it has no answer."""
    outcome = _outcome(answer) or otherwise
    CALLS_TO.labels(action, outcome).inc()
    if answer is not None:
        CALL_DURATION.labels(action).observe(seconds)


@contextmanager
def counting_not_sent(action: str) -> Iterator[None]:
    """Enter a CALL of ours that raises NotSent in here."""
    try:
        yield
    except NotSent:
        CALLS_TO.labels(action, "not_sent").inc()
        raise


def count_call_from(action: str, is_known: bool, answer: CallResult | CallError) -> None:
    """Enter an answered CALL of a charger."""
    outcome = answer.code if isinstance(answer, CallError) else "answered"
    CALLS_FROM.labels(action if is_known else OTHER, outcome).inc()


def _outcome(answer: Answer | None) -> Outcome | None:
    if answer is None:
        return None
    if isinstance(answer, CallError):
        return "call_error"
    return "broken_answer" if isinstance(answer, BrokenAnswer) else "answered"
