"""What is written about metrics is so: the page, the alerts and the dashboard know those that exist."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import temporalio.bridge

from berth.settings import Settings
from docs.tables.metrics_table import PAGE, described, with_table
from tests.launch.commands import ROOT
from tests.servers import need

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
SCRAPES = ROOT / "deploy" / "prometheus" / "prometheus.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "berth.json"

OF_PROMETHEUS = frozenset({"up"})
OF_ITS_CLIENT = frozenset({"process_resident_memory_bytes"})
OF_THE_SDK = frozenset({"task_queue"})
OF_SCRAPES = frozenset({"job", "instance", "le"})
UNITS = ("_total", "_seconds", "_seconds_bucket", "_bytes", "")

SERIES = re.compile(r"\b((?:berth|temporal|process)_[a-z_]+|up)\b(?!\()(?:\{([^}]*)\})?")


def expressions() -> list[str]:
    """Every one that Prometheus is asked, by an alert or by the dashboard."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    text = ALERTS.read_text("utf-8")
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    alerts = re.findall(r"^ +expr: (.*?)^ +(?:for|labels):", text, re.M | re.S)
    assert len(asked) > 15
    assert len(alerts) == text.count("- alert:")
    return asked + alerts


def labels_of(expression: str) -> set[tuple[str, str]]:
    """(series, label) that it picks by."""
    return {
        (name, label)
        for name, matchers in SERIES.findall(expression)
        for label in re.findall(r"([a-z_]+) *[=!]", matchers)
    }


def is_of_the_sdk(name: str) -> bool:
    """Whether Temporal's SDK has such a metric, among them those it shows after a failure only."""
    (library,) = Path(temporalio.bridge.__path__[0]).glob("temporal_sdk_bridge*")
    words = library.read_bytes()
    bare = name.removeprefix("temporal_")
    stems = {bare.removesuffix(unit) for unit in UNITS}
    return any(stem.encode() in words for stem in stems)


@pytest.mark.parametrize(("what", "file"), [("rules", ALERTS), ("config", SCRAPES)])
def test_prometheus_takes(what: str, file: Path) -> None:
    run = subprocess.run(
        [need("promtool"), "check", what, file], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_pages_table_is_that_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "run python -m docs.tables.metrics_table"


def test_names_follow_prometheus_conventions() -> None:
    for metric in described():
        assert re.fullmatch(r"berth_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert metric.text.endswith(".")


def test_alerts_and_the_dashboard_ask_for_what_exists() -> None:
    ours = {series for metric in described() for series in metric.series}
    asked = {name for expression in expressions() for name, _ in SERIES.findall(expression)}
    theirs = {name for name in asked if name.startswith("temporal_")}
    assert asked - theirs <= ours | OF_PROMETHEUS | OF_ITS_CLIENT
    assert [name for name in theirs if not is_of_the_sdk(name)] == []


def test_they_pick_by_labels_that_exist() -> None:
    labels = {series: metric.labels for metric in described() for series in metric.series}
    for expression in expressions():
        for series, label in labels_of(expression):
            own = labels.get(series, OF_THE_SDK if series.startswith("temporal_") else ())
            assert label in (*own, *OF_SCRAPES), f"{series}: {label}"


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    text = DASHBOARD.read_text("utf-8")
    assert [metric.name for metric in described() if metric.name not in text] == []


def test_the_sdks_metrics_on_the_page_exist() -> None:
    named = set(re.findall(r"`(temporal_\w+)`", PAGE.read_text("utf-8")))
    assert len(named) > 5
    assert [name for name in named if not is_of_the_sdk(name)] == []
    assert not is_of_the_sdk("temporal_no_such_thing_total")


def test_every_alert_says_what_it_is_and_what_to_do() -> None:
    alerts = ALERTS.read_text("utf-8").split("- alert: ")[1:]
    for alert in alerts:
        for part in ("expr: ", "severity: ", "summary: ", "what_to_do: "):
            assert part in alert, alert.splitlines()[0]
    names = [alert.splitlines()[0] for alert in alerts]
    assert len(set(names)) == len(names)


def test_the_example_scrapes_the_ports_that_its_first_line_sets() -> None:
    text = SCRAPES.read_text("utf-8")
    base = re.search(r"BERTH_METRICS_PORT=(\d+)", text)
    assert base is not None
    ports = [int(port) for port in re.findall(r'127\.0\.0\.1:(\d+)"', text)]
    assert ports == list(range(int(base[1]), int(base[1]) + 6))
    assert re.findall(r"job_name: (\S+)", text) == ["berth-gateway", "berth-api", "berth-worker"]


def test_metrics_are_off_and_local_unless_asked_for() -> None:
    settings = Settings()
    assert (settings.metrics_port, settings.metrics_host) == (0, "127.0.0.1")
