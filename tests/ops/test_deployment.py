"""What is in deploy/ holds together, as far as a machine without a cluster can tell."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema.validators import validator_for

from tests.architecture.sources import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
NAME = re.compile(r"\bticker_[a-z0-9_]+")
WORKLOADS = ("Deployment", "StatefulSet", "Job")
# The oldest that its makers still mend.
KUBERNETES_VERSION = "1.35"
BIN = Path(sys.executable).parent


@cache
def manifests() -> list[Any]:
    """Return every object of the base and of the overlay, before kustomize."""
    files = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml")
    return [one for path in files for one in yaml.safe_load_all(path.read_text()) if one]


def workloads() -> list[Any]:
    return [one for one in manifests() if one["kind"] in WORKLOADS]


def containers() -> list[tuple[str, Any]]:
    return [
        (one["metadata"]["name"], container)
        for one in workloads()
        for container in one["spec"]["template"]["spec"]["containers"]
    ]


def settings() -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def metrics() -> set[str]:
    """Return the names docs/metrics.md explains, which test_metrics holds against the page itself."""
    lines = (ROOT / "docs/metrics.md").read_text().splitlines()
    return {name for line in lines if line.startswith("| `ticker_") for name in NAME.findall(line.split("|")[1])}


def test_every_list_of_files_is_complete() -> None:
    for folder in (KUBERNETES / "base", KUBERNETES / "overlays/desk"):
        listed = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
        present = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert present == {name for name in listed if name.endswith(".yaml")}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: kustomize is not run")
def test_kustomize_builds_the_desk() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays/desk")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert len(built) == len(manifests()) + 1  # the generated settings
    assert {one["metadata"].get("namespace", "ticker") for one in built} == {"ticker"}


def test_every_object_is_what_kubernetes_understands() -> None:
    kinds = {one["kind"] for one in manifests()}

    for one in manifests():
        kubernetes_validate.validate(one, KUBERNETES_VERSION, strict=True)
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy", "Job", "Ingress"} <= kinds


def test_an_object_with_a_misspelt_field_is_found() -> None:
    (web,) = [one for one in workloads() if one["metadata"]["name"] == "web"]
    misspelt = {**web, "spec": {**web["spec"], "replica": 2}}

    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(misspelt, KUBERNETES_VERSION, strict=True)


def image_faults(path: Path) -> set[str]:
    done = subprocess.run(
        [str(BIN / "hadolint"), "--format", "json", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return {fault["code"] for fault in json.loads(done.stdout)}


def compose_faults(compose: Any) -> list[str]:
    schema = get_builtin_schema("vendor.compose-spec")
    return [error.message for error in validator_for(schema)(schema).iter_errors(compose)]


def test_the_image_is_built_by_the_rules() -> None:
    assert image_faults(ROOT / "Dockerfile") == set()


def test_a_careless_image_is_found(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN cd /tmp && apt-get install curl\n")

    assert {"DL3007", "DL3003", "DL3008"} <= image_faults(tmp_path / "Dockerfile")


def test_compose_understands_its_file() -> None:
    assert compose_faults(yaml.safe_load((ROOT / "compose.yaml").read_text())) == []


def test_a_misspelt_service_is_found() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    compose["services"]["nginx"]["port"] = compose["services"]["nginx"].pop("ports")

    [fault] = compose_faults(compose)

    assert "'port'" in fault


def test_compose_starts_every_kind_of_process() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

    assert {"postgres", "valkey", "web", "nginx", "worker", "greeks", "beat", "feed", "recorder"} <= set(services)
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name


@pytest.mark.parametrize(("name", "container"), containers(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_container_may_do_no_more_than_it_must(name: str, container: Any) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("workload", workloads(), ids=lambda one: one["metadata"]["name"])
def test_a_pod_runs_as_nobody_in_particular(workload: Any) -> None:
    pod = workload["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False


def test_what_runs_more_than_once_survives_a_drain() -> None:
    guarded = {one["metadata"]["name"] for one in manifests() if one["kind"] == "PodDisruptionBudget"}
    many = {one["metadata"]["name"] for one in workloads() if one["spec"].get("replicas", 1) > 1}

    assert many == guarded
    assert "web" in many


def test_the_web_process_says_whether_it_lives_and_whether_it_serves() -> None:
    (container,) = [container for name, container in containers() if name == "web"]

    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "startupProbe" in container


def test_a_selector_finds_its_pods() -> None:
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in workloads()]
    for one in manifests():
        selector = one["spec"].get("selector") if one["kind"] in {"Service", "PodDisruptionBudget"} else None
        if selector:
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= found.items() for found in labels), one["metadata"]["name"]


def test_every_setting_is_one_the_platform_knows() -> None:
    given = set(re.findall(r"^([A-Z_]+)=", (KUBERNETES / "base/settings.env").read_text(), re.MULTILINE))
    given |= {entry["name"] for _, container in containers() for entry in container.get("env", [])}
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    for service in compose["services"].values():
        if service.get("image") == "ticker-site":
            given |= set(service.get("environment", {}))

    assert given - settings() - {"ADMIN_PASSWORD"} == set()


def test_two_web_processes_stand_behind_the_proxy() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]

    assert services["web"]["deploy"]["replicas"] == 2
    assert "ports" not in services["web"]
    assert services["nginx"]["ports"] == ["${BIND:-127.0.0.1}:8000:8080"]


def test_the_proxy_repeats_no_write_and_hides_the_metrics() -> None:
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()

    directives = [line.strip() for line in text.splitlines() if not line.strip().startswith("#")]
    assert not [line for line in directives if "non_idempotent" in line]
    assert "location = /metrics { return 404; }" in directives
    assert text.count("{") == text.count("}")


def test_the_proxy_waits_for_no_client_that_drips() -> None:
    """A web process reads requests that are whole: nginx gathers head and body, and gives up after ten seconds."""
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()

    directives = [line.strip() for line in text.splitlines()]
    assert {"client_header_timeout 10s;", "client_body_timeout 10s;", "client_max_body_size 256k;"} <= set(directives)
    assert "proxy_request_buffering" not in text


def rules() -> list[Any]:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_about_metrics_there_are(rule: Any) -> None:
    assert set(NAME.findall(rule["expr"])) - metrics() == set()
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_what_to_do(rule: Any) -> None:
    assert (ROOT / rule["annotations"]["runbook"]).is_file()
    assert rule["annotations"]["summary"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: the rules are parsed instead")
def test_promtool_agrees() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", str(ROOT / "deploy/prometheus/rules.yaml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_draws_metrics_there_are() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/ticker-site.json").read_text())
    asked = {
        name for panel in dashboard["panels"] for target in panel["targets"] for name in NAME.findall(target["expr"])
    }

    assert asked - metrics() == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
