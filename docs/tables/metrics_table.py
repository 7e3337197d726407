"""The table in docs/reference/metrics.md: `python -m docs.tables.metrics_table` writes it from the code."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

import api.request_metrics
import gateway.gateway_metrics
import webhooks.delivery_metrics
from docs.tables import written_table
from workflows.reservation import state_count

MOST_LABELS = 8
"""More than any metric has."""

PAGE = Path(__file__).parents[1] / "reference" / "metrics.md"


@dataclass(frozen=True)
class Described:
    """A metric under the name that Prometheus knows."""

    name: str
    kind: str
    process: str
    labels: tuple[str, ...]
    text: str

    @property
    def series(self) -> frozenset[str]:
        """The names of its series."""
        if self.kind == "histogram":
            return frozenset(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
        return frozenset({self.name})


def described() -> list[Described]:
    """Every metric of Berth's own, those of Temporal's SDK apart."""
    return [
        *_of("API", api.request_metrics),
        *_of("gateway", gateway.gateway_metrics),
        *_of("worker", webhooks.delivery_metrics),
        Described(
            f"{state_count.NAME}_total",
            "counter",
            "worker (next port)",
            state_count.LABELS,
            state_count.DESCRIPTION,
        ),
    ]


def _of(process: str, module: ModuleType) -> Iterator[Described]:
    for metric in vars(module).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            suffix = "_total" if family.type == "counter" else ""
            yield Described(family.name + suffix, family.type, process, _labels(metric), family.documentation)


def _labels(metric: MetricWrapperBase) -> tuple[str, ...]:
    """The names of its labels. The library shows them at series only, so one is made for the look."""
    for count in range(1, MOST_LABELS + 1):
        values = ("any",) * count
        try:
            metric.labels(*values)
        except ValueError:  # it has another number of labels
            continue
        (family,) = metric.collect()
        metric.remove(*values)
        # The bound of a histogram's bucket is not one of ours.
        return tuple(name for name in family.samples[0].labels if name != "le")
    return ()


def metrics_table() -> str:
    """Every metric with its labels and what it counts, as Markdown."""
    lines = ["| metric | kind | where | labels | |", "|---|---|---|---|---|"]
    for metric in described():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {metric.process} | {labels} | {metric.text} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it must be. Raises ValueError when its marks are missing."""
    return written_table.with_table(page, "metrics", metrics_table())


def main() -> None:
    """Write it."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()
