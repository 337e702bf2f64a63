"""Who listens where: the ports of a mesh on this machine and the topology file written from them.

Open it to see what `--config` may say. The file has the form of `libs/common/topology.py`; addresses of
services and systems may be left out, and get a connector and a port here. A system with an address is run by
somebody else.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from libs.cli.ports import LOOPBACK, HeldPort, hold_port
from libs.common.topology import SERVICES, Topology, TopologyInvalid

TomlTable = dict[str, object]

DEFAULT_TOPOLOGY: TomlTable = {
    "systems": {
        "netsuite": {"role": "erp", "tenants": ["acme"]},
        "salesforce": {"role": "crm", "tenants": ["acme"]},
    },
    "routing": [{"tenant": "*", "region": "*", "business_unit": "*", "erp": "netsuite", "crm": "salesforce"}],
}


@dataclass
class Plan:
    """Addresses of everything this machine runs, by name."""

    topology: Topology
    gateway: HeldPort
    services: Mapping[str, HeldPort]
    connectors: Mapping[str, HeldPort]
    simulators: Mapping[str, HeldPort]
    _spare: list[HeldPort] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"http://{LOOPBACK}:{self.gateway.number}"

    @property
    def simulator_urls(self) -> Mapping[str, str]:
        return {system: _url(port) for system, port in self.simulators.items()}

    def take_port(self) -> HeldPort:
        """One more, for a store."""
        self._spare.append(hold_port())
        return self._spare[-1]

    def release(self) -> None:
        """Gives every port back."""
        held = [self.gateway, *self._spare]
        for ports in (self.services, self.connectors, self.simulators):
            held += ports.values()
        for port in held:
            port.release()


def make_plan(port: int, config: Path | None, with_simulators: bool) -> Plan:
    """port: the gateway's, 0 takes a free one. Raises PortTaken, TopologyInvalid."""
    wanted = _read(config)
    services = {name: hold_port() for name in SERVICES if name not in _table(wanted, "services")}
    systems = {name: _table(_table(wanted, "systems"), name) for name in _table(wanted, "systems")}
    here = [name for name, system in systems.items() if "address" not in system]
    for name in here:
        if not _importable(f"connectors.{name}"):
            raise TopologyInvalid(
                f"{config}: systems.{name} has no address and there is no connector of that name"
            )
    connectors = {name: hold_port() for name in here}
    simulated = [name for name in here if with_simulators and _importable(f"connectors.{name}.simulator")]
    simulators = {name: hold_port() for name in simulated}
    filled: TomlTable = {
        "services": {name: held.address for name, held in services.items()} | _table(wanted, "services"),
        "systems": {
            name: system
            | ({"address": connectors[name].address} if name in connectors else {})
            | ({"simulator": _url(simulators[name])} if name in simulators else {})
            for name, system in systems.items()
        },
        "routing": wanted.get("routing", []),
    }
    try:
        topology = Topology.model_validate(filled)
    except ValidationError as error:
        raise TopologyInvalid(f"{config}: {error}") from error
    return Plan(topology, hold_port(port), services, connectors, simulators)


def _read(config: Path | None) -> TomlTable:
    if config is None:
        return DEFAULT_TOPOLOGY
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TopologyInvalid(f"{config}: {error}") from error


def _table(parent: TomlTable, name: str) -> TomlTable:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise TopologyInvalid(f"{name} is not a table")
    return value


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _url(port: HeldPort) -> str:
    return f"http://{port.address}"


def topology_text(topology: Topology) -> str:
    """The TOML that `Topology.load` reads back as the same topology."""
    lines = ["[services]", *(_entry(name, target) for name, target in topology.services.items())]
    for name, system in topology.systems.items():
        lines += ["", f"[systems.{json.dumps(name)}]"]
        lines += [_entry(field_name, value) for field_name, value in system.model_dump().items() if value]
    for route in topology.routing:
        lines += ["", "[[routing]]", *(_entry(name, value) for name, value in route.model_dump().items())]
    return "\n".join(lines) + "\n"


def _entry(name: str, value: str | tuple[str, ...]) -> str:
    # Texts and lists of texts look the same in JSON and TOML.
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"
