"""Ports stay ours and the topology that is written says what was asked for."""

import socket
from pathlib import Path

import pytest

from libs.cli.plan import make_plan, topology_text
from libs.cli.ports import LOOPBACK, PortTaken, hold_port
from libs.common.topology import SERVICES, Topology, TopologyInvalid


def test_a_held_port_can_be_listened_on() -> None:
    held = hold_port()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOOPBACK, held.number))
        server.listen()


def test_held_ports_are_never_the_same() -> None:
    held = [hold_port() for _ in range(50)]
    assert len({port.number for port in held}) == 50
    for port in held:
        port.release()


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        number = server.getsockname()[1]
        with pytest.raises(PortTaken, match=str(number)):
            hold_port(number)


def test_the_written_topology_reads_back_as_the_planned_one(tmp_path: Path) -> None:
    plan = make_plan(0, None, with_simulators=True)
    path = tmp_path / "topology.toml"
    path.write_text(topology_text(plan.topology))

    assert Topology.load(path) == plan.topology
    assert set(plan.services) == set(SERVICES)
    assert plan.topology.service_target("order") == plan.services["order"].address
    assert plan.topology.systems["netsuite"].address == plan.connectors["netsuite"].address
    assert plan.topology.route("acme", "", "").erp == "netsuite"
    plan.release()


def test_without_simulators_none_is_planned() -> None:
    plan = make_plan(0, None, with_simulators=False)
    assert not plan.simulators
    assert set(plan.connectors) == {"netsuite", "salesforce"}
    plan.release()


def test_what_a_config_gives_an_address_is_run_by_somebody_else(tmp_path: Path) -> None:
    config = tmp_path / "mesh.toml"
    config.write_text(
        """
        [services]
        customer = "customers.internal:50051"
        [systems.netsuite]
        role = "erp"
        tenants = ["*"]
        address = "connector.internal:50051"
        [systems.salesforce]
        role = "crm"
        tenants = ["acme", "größe"]
        [[routing]]
        erp = "netsuite"
        crm = "salesforce"
        """
    )
    plan = make_plan(0, config, with_simulators=True)
    assert set(plan.connectors) == set(plan.simulators) == {"salesforce"}
    assert "customer" not in plan.services
    assert plan.topology.systems["netsuite"].address == "connector.internal:50051"
    plan.release()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[systems", "mesh.toml"),
        ('[systems.oracle]\nrole = "erp"\ntenants = ["*"]\n', "oracle"),
        ('[[routing]]\nerp = "netsuite"\ncrm = "salesforce"\n', "routing"),
        ("systems = 3", "systems"),
    ],
    ids=["no TOML", "no such connector", "no such system", "no table"],
)
def test_a_config_that_cannot_be_used_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    config = tmp_path / "mesh.toml"
    config.write_text(text)
    with pytest.raises(TopologyInvalid, match=told):
        make_plan(0, config, with_simulators=True)
