"""k8s/ keeps the rules of a cluster that nobody watches: probed, drained, spread, closed, and without rights."""

import shutil
import subprocess
import tomllib

import pytest

from libs.common.topology import SERVICES
from tests.tidy.manifests import BASE, K8S, Manifest, Node, base, read, read_all
from tests.tidy.tree import ROOT, report

CONNECTORS = ("netsuite", "salesforce")
PROCESSES = (
    *(f"{service}-{process}" for service in SERVICES for process in ("migrate", "serve", "relay", "ingest")),
    *(f"connector-{system}" for system in CONNECTORS),
    "gateway",
)
GRPC_PORT = 50051
WORDS = frozenset({"serve", "relay", "ingest", "migrate", "all"})
"""What every service's command line takes."""


def of_kind(kind: str) -> list[Manifest]:
    return [manifest for manifest in base() if manifest.kind == kind]


DEPLOYMENTS = of_kind("Deployment")
WORKLOADS = [*DEPLOYMENTS, *of_kind("Job")]
each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda found: found.name)
each_workload = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda found: found.name)


def test_every_process_has_a_file_and_every_file_is_used() -> None:
    there = {path.stem for path in BASE.glob("*.yaml")} - {"kustomization", "service-account"}
    assert there == set(PROCESSES), report(
        "k8s/base has one file per process", sorted(there ^ set(PROCESSES))
    )
    assert {found.path.stem for found in WORKLOADS} == set(PROCESSES), (
        "name each file in k8s/base/kustomization.yaml"
    )


def test_every_connector_can_be_deployed() -> None:
    written = [path.parent.name for path in (ROOT / "connectors").glob("*/__main__.py")]
    missing = sorted(set(written) - set(CONNECTORS))
    assert not missing, report(
        "Add k8s/base/connector-<system>.yaml and its rule in network-policies/vendors.yaml", missing
    )


@each_workload
def test_labels_are_the_recommended_ones(workload: Manifest) -> None:
    pod = workload.table("spec", "template", "metadata", "labels")
    for label in ("name", "component", "part-of", "managed-by"):
        assert f"app.kubernetes.io/{label}" in workload.labels, f"{workload}: label app.kubernetes.io/{label}"
        assert f"app.kubernetes.io/{label}" in pod, f"{workload}: label app.kubernetes.io/{label} on its pods"


@each_workload
def test_a_pod_has_no_rights(workload: Manifest) -> None:
    pod = Manifest(workload.path, workload.table("spec", "template", "spec"))
    assert pod.at("automountServiceAccountToken") is False
    assert pod.at("securityContext", "runAsNonRoot") is True
    assert pod.at("securityContext", "seccompProfile", "type") == "RuntimeDefault"
    inside = workload.container
    assert inside.at("securityContext", "allowPrivilegeEscalation") is False
    assert inside.at("securityContext", "readOnlyRootFilesystem") is True
    assert inside.at("securityContext", "capabilities", "drop") == ["ALL"]


@each_workload
def test_a_pod_says_what_it_needs(workload: Manifest) -> None:
    resources = Manifest(workload.path, workload.container.table("resources"))
    assert resources.at("requests", "cpu") and resources.at("requests", "memory"), f"{workload}: requests"
    assert resources.at("limits", "memory"), (
        f"{workload}: a limit of memory; none of CPU, which only adds latency"
    )


@each_workload
def test_only_those_that_own_records_reach_the_database(workload: Manifest) -> None:
    told = {entry["name"] for entry in workload.container.items("env")}
    owns = workload.labels["app.kubernetes.io/component"] == "service"
    assert ("ORDERMESH_DATABASE_URL" in told) is owns


@each_workload
def test_the_command_exists(workload: Manifest) -> None:
    args = workload.container.at("args")
    assert isinstance(args, list) and args[0] == "-m"
    module = ROOT / str(args[1]).replace(".", "/") / "__main__.py"
    if not module.exists():
        pytest.skip(f"{args[1]} is not written yet")
    for word in map(str, args[2:]):
        assert word in WORDS, f"{workload}: no process has the word {word}"


@each_deployment
def test_a_pod_is_probed_and_its_liveness_hangs_on_nothing_else(deployment: Manifest) -> None:
    process = deployment.container
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert process.at(probe), f"{deployment}: {probe}"
    alive = process.table("livenessProbe")
    assert "service" not in Manifest(deployment.path, alive).table("grpc"), (
        f"{deployment}: overall health only"
    )


@each_deployment
def test_a_pod_has_time_to_drain(deployment: Manifest) -> None:
    process = deployment.container
    pause = process.at("lifecycle", "preStop", "exec", "command")
    assert isinstance(pause, list) and pause[0] == "sleep", (
        f"{deployment}: preStop sleeps until the endpoints know"
    )
    told = {entry["name"]: entry.get("value") for entry in process.items("env")}
    drain = int(str(told["ORDERMESH_DRAIN_SECONDS"]))
    grace = deployment.number("spec", "template", "spec", "terminationGracePeriodSeconds")
    assert grace >= int(str(pause[1])) + drain + 10, f"{deployment}: grace period over preStop and drain"


@each_deployment
def test_pods_of_one_process_stand_apart(deployment: Manifest) -> None:
    spreads = deployment.items("spec", "template", "spec", "topologySpreadConstraints")
    assert {spread["topologyKey"] for spread in spreads} >= {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    assert all("labelSelector" in spread for spread in spreads), (
        "matchLabelKeys counts only beside a labelSelector"
    )


@each_deployment
def test_a_drain_of_nodes_takes_one_pod_at_a_time_and_never_hangs(deployment: Manifest) -> None:
    budgets = [found for found in of_kind("PodDisruptionBudget") if found.name == deployment.name]
    assert len(budgets) == 1, f"{deployment}: one PodDisruptionBudget"
    assert budgets[0].at("spec", "maxUnavailable") == 1
    assert budgets[0].at("spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow"
    assert budgets[0].at("spec", "selector") == deployment.at("spec", "selector")


@each_deployment
def test_selectors_select_the_pods(deployment: Manifest) -> None:
    pod = deployment.table("spec", "template", "metadata", "labels")
    assert deployment.table("spec", "selector", "matchLabels").items() <= pod.items()


def test_clients_find_every_server_under_the_name_they_look_for() -> None:
    topology = tomllib.loads((BASE / "topology.toml").read_text())
    addresses = [f"dns:///{service}:{GRPC_PORT}" for service in SERVICES]
    addresses += [system["address"] for system in topology["systems"].values()]
    services = {f"dns:///{found.name}:{GRPC_PORT}": found for found in of_kind("Service")}
    for address in addresses:
        assert address in services, f"there is no Service for {address}"
        found = services[address]
        assert found.at("spec", "clusterIP") == "None", f"{found}: headless, or one pod takes all calls"
        assert found.items("spec", "ports")[0]["port"] == GRPC_PORT
        pods = [d for d in DEPLOYMENTS if found.table("spec", "selector").items() <= pod_labels(d).items()]
        assert len(pods) == 1, f"{found}: selects the pods of one Deployment"


def pod_labels(deployment: Manifest) -> dict[str, Node]:
    return deployment.table("spec", "template", "metadata", "labels")


def test_autoscalers_scale_what_exists_and_calm_down_slowly() -> None:
    names = {deployment.name for deployment in DEPLOYMENTS}
    scalers = [found for found in read_all(K8S / "components") if found.kind == "HorizontalPodAutoscaler"]
    assert scalers
    for scaler in scalers:
        assert scaler.text("apiVersion") == "autoscaling/v2"
        assert scaler.text("spec", "scaleTargetRef", "name") in names, f"{scaler}: no such Deployment"
        assert scaler.number("spec", "behavior", "scaleDown", "stabilizationWindowSeconds") >= 60


def test_everything_is_closed_that_no_rule_opens() -> None:
    policies = {found.name: found for found in read_all(K8S / "components") if found.kind == "NetworkPolicy"}
    closed = policies["default-deny"]
    assert closed.at("spec", "podSelector") == {}
    assert closed.at("spec", "policyTypes") == ["Ingress", "Egress"]
    missing = [system for system in CONNECTORS if f"connector-{system}" not in policies]
    assert not missing, report("Add an egress rule to network-policies/vendors.yaml", missing)


def test_in_production_every_process_has_a_certificate_and_is_probed_without_one() -> None:
    [overlay] = read(K8S / "overlays/prod/kustomization.yaml")
    assert "../../components/mutual-tls" in str(overlay.at("components"))
    folder = K8S / "components/mutual-tls"
    [component] = read(folder / "kustomization.yaml")
    written = [str(patch.get("patch", "")) for patch in component.items("patches")]
    names = {deployment.text("metadata", "labels", "app.kubernetes.io/name") for deployment in DEPLOYMENTS}
    missing = sorted(
        name for name in names if not any(f"secretName: tls-{name}}}" in text for text in written)
    )
    assert not missing, report("Mount a Secret tls-<name> in k8s/components/mutual-tls", missing)
    [probed] = read(folder / "grpc.yaml")
    told = {entry["name"]: str(entry["value"]) for entry in probed.container.items("env")}
    port = int(told["ORDERMESH_HEALTH_LISTEN"].rpartition(":")[2])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert probed.container.number(probe, "grpc", "port") == port


def test_the_port_of_metrics_is_told_to_prometheus_and_open_to_nobody_else() -> None:
    folder = K8S / "components/metrics"
    [process] = read(folder / "every-process.yaml")
    told = {entry["name"]: str(entry["value"]) for entry in process.container.items("env")}
    port = int(told["ORDERMESH_METRICS_LISTEN"].rpartition(":")[2])
    annotations = process.table("spec", "template", "metadata", "annotations")
    assert annotations["prometheus.io/port"] == str(port)
    assert [entry["containerPort"] for entry in process.container.items("ports")] == [port]
    [policy] = [found for found in read(folder / "prometheus.yaml") if found.kind == "NetworkPolicy"]
    [rule] = [Manifest(policy.path, entry) for entry in policy.items("spec", "ingress")]
    assert [entry["port"] for entry in rule.items("ports")] == [port]
    assert rule.items("from"), "who may ask is named"


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_an_overlay_admits_restricted_pods_only_and_names_its_instance(overlay: str) -> None:
    [namespace] = read(K8S / "overlays" / overlay / "namespace.yaml")
    assert namespace.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    [kustomization] = read(K8S / "overlays" / overlay / "kustomization.yaml")
    pairs = {
        label for entry in kustomization.items("labels") for label in Manifest(BASE, entry).table("pairs")
    }
    assert "app.kubernetes.io/instance" in pairs
    assert kustomization.at("namespace") == namespace.name


def test_production_names_a_version_of_the_image() -> None:
    [kustomization] = read(K8S / "overlays/prod/kustomization.yaml")
    assert [image.get("newTag") for image in kustomization.items("images")] not in ([], ["latest"], [None])


def test_the_image_runs_without_root() -> None:
    lines = (K8S / "Dockerfile").read_text().splitlines()
    assert sum(line.startswith("FROM ") for line in lines) == 2, "build apart from run"
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and users[-1].split(":")[0].isdigit() and users[-1] != "0", (
        "a number, so that a cluster can check it"
    )


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed; the rules above hold without it"
)
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_kustomize_builds_the_overlay(overlay: str) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", str(K8S / "overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert "name: every" not in built.stdout, "a patch found no target and became an object"
