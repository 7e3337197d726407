"""What the image, compose.yaml and the Kubernetes manifests name exists: paths, commands, settings."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it comes without types
from temporalio.envconfig import ClientConfig
from typer.main import get_command

from berth import __version__
from berth.settings import Settings
from berth.telemetry.tracing import ENDPOINTS
from berth.telemetry.worker_health import LIVE, READY
from cli import app as cli
from cli.processes import WAIT_FOR_TEMPORAL
from gateway.process import DRAIN
from tests.launch.commands import ROOT

MANIFESTS = ROOT / "deploy" / "kubernetes"
COMPOSE = ROOT / "deploy" / "compose"
PAGE = ROOT / "docs" / "how-to" / "kubernetes.md"
SETTINGS = {f"BERTH_{name.upper()}" for name in Settings.model_fields}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
IMAGE = f"berth:{__version__}"

Tree = dict[str, Any]


def compose() -> Tree:
    """The services by their names."""
    services: Tree = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    return services


def resources() -> list[Tree]:
    """Everything that the kustomization applies."""
    listed = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text("utf-8"))["resources"]
    return [each for name in listed for each in yaml.safe_load_all((MANIFESTS / name).read_text("utf-8"))]


def secret() -> Tree:
    """The example of what has to be there besides."""
    example: Tree = yaml.safe_load((MANIFESTS / "secret.example.yaml").read_text("utf-8"))
    return example


def pods() -> dict[str, Tree]:
    """The specification of every pod, by the name of what makes it."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in resources()
        if each["kind"] in ("Deployment", "Job")
    }


def containers() -> Iterator[Tree]:
    for pod in pods().values():
        yield from pod["containers"]


def assert_understood(arguments: list[str]) -> None:
    """Parse `berth <arguments>` without doing it."""
    command = get_command(cli.app).commands[arguments[0]]  # type: ignore[attr-defined]  # it is a group
    command.make_context(arguments[0], arguments[1:])


def assert_read(variables: Tree) -> None:
    """Every variable is a setting of Berth, or one that Temporal's SDK takes into account."""
    for name, value in variables.items():
        if name.startswith("TEMPORAL_"):
            nothing = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars={})
            given = {name: str(value)}
            assert nothing != ClientConfig.load_client_connect_config(
                disable_file=True, override_env_vars=given
            ), name
        else:
            assert name in SETTINGS


def test_every_manifest_is_listed_or_an_example() -> None:
    listed = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert {*listed, "kustomization.yaml", "secret.example.yaml"} == set(os.listdir(MANIFESTS))


def test_every_process_and_both_preparations_are_deployed() -> None:
    wanted = {("api",), ("worker",), ("migrate",), ("search-attributes",)}
    for said in (
        [service["command"] for service in compose().values() if service["image"] == IMAGE],
        [container["args"] for container in containers()],
    ):
        assert {tuple(words) for words in said if words[0] != "gateway"} == wanted
        (gateway,) = (words for words in said if words[0] == "gateway")
        assert gateway[1] == "--id"
        for words in said:
            assert_understood(words)


def test_every_variable_of_our_processes_is_read_by_them() -> None:
    for service in compose().values():
        if service["image"] == IMAGE:
            assert_read(service["environment"])
    (configuration,) = (each["data"] for each in resources() if each["kind"] == "ConfigMap")
    assert_read(configuration | secret()["stringData"])
    assert set(re.findall(r"\bBERTH_\w+", (ROOT / "Dockerfile").read_text("utf-8"))) <= SETTINGS


def test_the_lines_to_uncomment_for_traces_name_what_switches_them_on() -> None:
    for file in (ROOT / "compose.yaml", MANIFESTS / "configuration.yaml"):
        (name,) = re.findall(r"# (OTEL_\w+): http://", file.read_text("utf-8"))
        assert name in ENDPOINTS


def test_every_variable_that_compose_needs_is_in_the_example() -> None:
    needed = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text("utf-8")))
    given = re.findall(r"^(\w+)=", (COMPOSE / "env.example").read_text("utf-8"), re.MULTILINE)
    assert needed == set(given)


def test_every_secret_without_a_default_stops_compose_with_a_hint() -> None:
    optional = re.findall(r"\$\{(\w+)(?!\w|:\?)", (ROOT / "compose.yaml").read_text("utf-8"))
    assert set(optional) == {"PUBLISH_ON"}


def test_every_image_is_of_one_version() -> None:
    images = [service["image"] for service in compose().values()]
    images += [container["image"] for container in containers()]
    images += re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for image in images:
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z-]+)?$", image), image
    assert {image for image in images if image.startswith("berth")} == {IMAGE}


def test_compose_publishes_the_api_and_the_gateway_only() -> None:
    published = {name for name, service in compose().items() if "ports" in service}
    assert published == {"api", "gateway"}


def test_compose_bounds_and_restarts_everything() -> None:
    for name, service in compose().items():
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert service["restart"] == "unless-stopped" or service["restart"].startswith("on-failure:"), name


def test_every_file_that_compose_mounts_exists() -> None:
    mounts = [volume for service in compose().values() for volume in service.get("volumes", [])]
    paths = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(paths) == 4
    for path in paths:
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("script", sorted(COMPOSE.glob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_of_compose_are_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
    yaml.safe_load((COMPOSE / "temporal-dynamic-config.yaml").read_text("utf-8"))


def test_no_pod_takes_the_names_of_services_for_settings() -> None:
    services = {each["metadata"]["name"] for each in resources() if each["kind"] == "Service"}
    assert {f"{name.upper().replace('-', '_')}_PORT" for name in services} <= SETTINGS  # so they would
    assert [pod["enableServiceLinks"] for pod in pods().values()] == [False] * len(pods())


def test_every_pod_is_confined() -> None:
    for name, pod in pods().items():
        assert pod["securityContext"]["runAsNonRoot"], name
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"].keys() == {"memory"}, name


def test_what_comes_before_a_release_can_be_applied_alone() -> None:
    label = "app.kubernetes.io/component"
    alone = {each["metadata"]["name"] for each in resources() if each["metadata"]["labels"][label] == "setup"}
    assert alone == {"berth", "berth-migrate", "berth-search-attributes"}
    assert f"-l {label}=setup" in PAGE.read_text("utf-8")


def test_every_selector_finds_its_pods() -> None:
    labels = [
        each["spec"]["template"]["metadata"]["labels"] for each in resources() if each["kind"] == "Deployment"
    ]
    for each in resources():
        if each["kind"] in ("Deployment", "Service", "PodDisruptionBudget"):
            selector = each["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert sum(wanted.items() <= found.items() for found in labels) == 1, each["metadata"]["name"]


def test_probes_ask_the_port_that_the_process_listens_on() -> None:
    defaults = Settings.model_fields
    for name, port in (("api", defaults["api_port"].default), ("gateway", defaults["gateway_port"].default)):
        (container,) = pods()[f"berth-{name}"]["containers"]
        listens = container["ports"][0]
        assert listens["containerPort"] == port
        for probe, path in (("livenessProbe", "/health/live"), ("readinessProbe", "/health/ready")):
            assert container[probe]["httpGet"] == {"path": path, "port": listens["name"]}
        assert f"127.0.0.1:{port}/health/ready" in compose()[name]["healthcheck"]["test"][-1]


def test_the_probes_of_a_worker_ask_the_port_that_it_is_given() -> None:
    (container,) = pods()["berth-worker"]["containers"]
    (given,) = container["env"]
    assert_read({given["name"]: given["value"]})
    assert given["name"] == "BERTH_WORKER_HEALTH_PORT"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["health"] == int(given["value"])
    for probe, path in (("startupProbe", LIVE), ("livenessProbe", LIVE), ("readinessProbe", READY)):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}
    waits = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
    assert waits > WAIT_FOR_TEMPORAL
    worker = compose()["worker"]
    port = worker["environment"]["BERTH_WORKER_HEALTH_PORT"]
    assert f"127.0.0.1:{port}{READY}" in worker["healthcheck"]["test"][-1]


def test_prometheus_finds_both_ports_of_every_process() -> None:
    (configuration,) = (each["data"] for each in resources() if each["kind"] == "ConfigMap")
    first = int(configuration["BERTH_METRICS_PORT"])
    for name in ("api", "gateway", "worker"):
        (container,) = pods()[f"berth-{name}"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert (ports["metrics"], ports["metrics-sdk"]) == (first, first + 1)


def test_a_gateway_may_finish_draining_before_it_is_killed() -> None:
    before = 5  # preStop
    after = 20  # sockets, links, the message log
    grace = pods()["berth-gateway"]["terminationGracePeriodSeconds"]
    assert grace >= before + DRAIN.total_seconds() + after
    assert int(compose()["gateway"]["stop_grace_period"].removesuffix("s")) >= DRAIN.total_seconds() + after


def test_the_image_is_built_from_what_is_there() -> None:
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    for path in allowed:
        assert (ROOT / path).exists(), path
    tool = PROJECT["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in tool["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in tool["py-modules"]}
    copied = re.findall(r"^COPY ((?:\S+\.lock ?)+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    locks = set(copied[0].split())
    assert set(allowed) == packages | modules | locks | {"pyproject.toml", "README.md", "LICENSE"}
