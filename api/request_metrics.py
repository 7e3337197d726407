"""The Prometheus metrics of an API process; docs/reference/metrics.md says more."""

from typing import Any

from prometheus_client import Counter, Histogram

OTHER = "other"
"""Label of what has no name here: callers choose paths and methods, and must not choose labels."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_REFUSALS = {401: "unauthorized", 403: "forbidden", 429: "rate_limited"}

REQUESTS = Counter(
    "berth_http_requests_total",
    "HTTP requests, by the template of their route (`other` where there is none) and the class of the "
    "answer's status (`2xx` …; `none` when the caller left before it).",
    ("method", "route", "status"),
)
DURATION = Histogram(
    "berth_http_request_duration_seconds",
    "Seconds from an HTTP request to the end of its answer. A POST that waits for the charger lasts as long "
    "as the charger takes.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REFUSED = Counter(
    "berth_http_requests_refused_total",
    f"HTTP requests turned away: {', '.join(f'`{name}` ({status})' for status, name in _REFUSALS.items())}.",
    ("reason",),
)
for _reason in _REFUSALS.values():
    REFUSED.labels(_reason)  # a rate over a series that begins with its first event misses that event


def count_request(method: str, route: Any, status: int, seconds: float) -> None:
    """Enter one request; `route` is what the router found, if anything; `status` is 0 without an answer."""
    method = method if method in METHODS else OTHER
    template = getattr(route, "path", None) or OTHER
    REQUESTS.labels(method, template, f"{status // 100}xx" if status else "none").inc()
    DURATION.labels(method, template).observe(seconds)
    if status in _REFUSALS:
        REFUSED.labels(_REFUSALS[status]).inc()
