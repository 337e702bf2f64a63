"""The table of processes: what `ordermesh up` runs, with which command and which settings.

Open it to add one.
"""

import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from libs.cli.certs import files_of
from libs.cli.child import ProcessSpec, Tier
from libs.cli.config import Surroundings, interpreter
from libs.cli.instance import DataDir
from libs.cli.plan import Plan
from libs.common.topology import SERVICES

DRAIN_SECONDS = "8"
"""Shorter than the supervisor's patience, so that a process ends by itself."""
LEASE_SECONDS = "15"
"""How long deliveries of a killed process stay held: nothing on one machine takes as long as a real vendor."""
OVERLAP_SECONDS = "3"
"""A simulator shows a change at once; reading half a minute of changes again each second would only make heat."""
FOLLOWING = frozenset({"order", "invoice"})
FOLLOW_SECONDS = "1"
"""How often these services look for changes here: the vendors are simulators, and a person is waiting."""


@dataclass(frozen=True, slots=True)
class StoreUrls:
    """Where the stores are; empty for those that the environment names already."""

    database: str = ""
    redis: str = ""


def process_specs(
    plan: Plan, data: DataDir, stores: StoreUrls, around: Surroundings, *, tls: bool = False
) -> list[ProcessSpec]:
    """Everything but the stores, in the order of the tiers. tls: the processes show each other certificates."""
    common = common_environment(data, stores, around)
    specs = [_with_metrics(spec, plan) for spec in _all_specs(plan, data, common)]
    return [_with_certificate(spec, data) for spec in specs] if tls else specs


def _all_specs(plan: Plan, data: DataDir, common: Mapping[str, str]) -> list[ProcessSpec]:
    return [
        *_simulators(plan, data, common),
        *_connectors(plan, data, common),
        *_services(plan, data, common),
        _python("gateway", Tier.GATEWAY, ["gateway"], data, common, listen=plan.gateway.address),
    ]


def _with_metrics(spec: ProcessSpec, plan: Plan) -> ProcessSpec:
    """A port of its own for the metrics of each process of the mesh; a simulator stands for a vendor and has none."""
    if spec.tier is Tier.SIMULATOR:
        return spec
    address = plan.take_port().address
    return replace(
        spec, environment={**spec.environment, "ORDERMESH_METRICS_LISTEN": address}, metrics=address
    )


def _with_certificate(spec: ProcessSpec, data: DataDir) -> ProcessSpec:
    """Simulators stay as they are: they stand for vendors, not for processes of the mesh."""
    if spec.tier is Tier.SIMULATOR:
        return spec
    files = files_of(data.certificates, spec.name)
    told = {
        "ORDERMESH_TLS_CERTIFICATE_FILE": str(files.certificate),
        "ORDERMESH_TLS_KEY_FILE": str(files.key),
        "ORDERMESH_TLS_CA_FILE": str(files.authorities),
    }
    return replace(spec, environment={**spec.environment, **told})


def common_environment(data: DataDir, stores: StoreUrls, around: Surroundings) -> Mapping[str, str]:
    """What every process gets: the caller's own variables, and ours where the caller set none."""
    keys = data.keys
    ours = {
        "ORDERMESH_ENVIRONMENT": "development",
        "ORDERMESH_LOG_LEVEL": "info",
        "ORDERMESH_DRAIN_SECONDS": DRAIN_SECONDS,
        "ORDERMESH_LEASE_SECONDS": LEASE_SECONDS,
        "ORDERMESH_SEAL_KEYS_FILE": str(keys.seal),
    }
    fixed = {
        "ORDERMESH_TOPOLOGY_FILE": str(data.topology),
        "ORDERMESH_JWKS_FILE": str(keys.public),
        "ORDERMESH_MESH_KEY_FILE": str(keys.mesh),
        "PYTHONUNBUFFERED": "1",
    }
    if stores.database:
        fixed["ORDERMESH_DATABASE_URL"] = stores.database
    if stores.redis:
        fixed["ORDERMESH_REDIS_URL"] = stores.redis
    return {**ours, **around.inherited, **fixed}


def _simulators(plan: Plan, data: DataDir, common: Mapping[str, str]) -> Iterable[ProcessSpec]:
    for system, port in plan.simulators.items():
        state = data.root / "simulators" / f"{system}.sqlite"
        words = [f"connectors.{system}.simulator", "--port", str(port.number), "--state", str(state)]
        # A simulator drains for nobody: its caller is told to expect the worst of a vendor anyway.
        yield _python(f"sim-{system}", Tier.SIMULATOR, words, data, common, address=port.address)


def _connectors(plan: Plan, data: DataDir, common: Mapping[str, str]) -> Iterable[ProcessSpec]:
    for system, port in plan.connectors.items():
        own = dict(simulator_settings(system, plan, data)) if system in plan.simulators else {}
        own["ORDERMESH_CRASH_FILE"] = str(data.crash_file(f"connector-{system}"))
        words = [f"connectors.{system}"]
        yield _python(
            f"connector-{system}", Tier.CONNECTOR, words, data, {**common, **own}, listen=port.address
        )


def _services(plan: Plan, data: DataDir, common: Mapping[str, str]) -> Iterable[ProcessSpec]:
    for name in SERVICES:
        if name in plan.services:
            words = [f"services.{name}", "all", "--migrate"]
            own = {"ORDERMESH_CRASH_FILE": str(data.crash_file(name))}
            if name in FOLLOWING:
                own["ORDERMESH_INGEST_SECONDS"] = FOLLOW_SECONDS
            address = plan.services[name].address
            yield _python(name, Tier.SERVICE, words, data, {**own, **common}, listen=address)


def simulator_settings(system: str, plan: Plan, data: DataDir) -> Mapping[str, str]:
    """Settings of a connector that point it at its simulator, which takes any well-formed credentials."""
    prefix = f"ORDERMESH_{system.upper().replace('-', '_')}_"
    return {
        f"{prefix}BASE_URL": plan.simulator_urls[system],
        f"{prefix}CLIENT_ID": "ordermesh",
        f"{prefix}CLIENT_SECRET_FILE": str(data.keys.simulator_secret),
        f"{prefix}OVERLAP_SECONDS": OVERLAP_SECONDS,
        f"{prefix}FEED_OVERLAP_SECONDS": OVERLAP_SECONDS,
    }


def _python(
    name: str,
    tier: Tier,
    words: list[str],
    data: DataDir,
    environment: Mapping[str, str],
    *,
    listen: str = "",
    address: str = "",
) -> ProcessSpec:
    return ProcessSpec(
        name=name,
        tier=tier,
        command=(interpreter(), "-m", *words),
        log=data.logs / f"{name}.log",
        environment={**environment, "ORDERMESH_LISTEN": listen} if listen else environment,
        address=listen or address,
        cwd=data.root,
        orphan_signal=signal.SIGKILL,
    )
