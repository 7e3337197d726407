"""Metrics as Prometheus reads them."""

from collections.abc import Mapping

import httpx
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

Series = frozenset[tuple[str, str]]


class Scrape:
    """Every sample of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples: list[tuple[str, Mapping[str, str], float]] = [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def names(self) -> set[str]:
        """What there is."""
        return {name for name, _, _ in self.samples}

    def sum(self, name: str, **labels: str) -> float:
        """Of all series that have these labels."""
        return sum(
            value for called, has, value in self.samples if called == name and labels.items() <= has.items()
        )

    def series(self, name: str) -> set[Series]:
        """The labels of each series."""
        return {frozenset(has.items()) for called, has, _ in self.samples if called == name}


def scrape(port: int) -> Scrape:
    """What a process says on its port."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60, trust_env=False)
    return Scrape(answer.raise_for_status().text)


class Moves:
    """How far counters of this process have moved since it was made."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, Series], float] = {}
        self._before = self._now()

    def __call__(self, name: str, **labels: str) -> float:
        """Of the one series that has exactly these labels."""
        key = (name, frozenset(labels.items()))
        return self._now().get(key, 0.0) - self._before.get(key, 0.0)

    def new_series(self, name: str) -> set[Series]:
        """Those that did not exist."""
        return {series for called, series in self._now().keys() - self._before.keys() if called == name}

    def _now(self) -> dict[tuple[str, Series], float]:
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
        }
