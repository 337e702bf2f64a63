"""Routing and access to systems follow the topology file, and a wrong file stops the process at start."""

from pathlib import Path

import pytest

from libs.common.errors import Refused
from libs.common.topology import Topology, TopologyInvalid

FILE = """
[services]
customer = "127.0.0.1:5101"

[systems.netsuite]
role = "erp"
address = "127.0.0.1:5201"
tenants = ["acme"]
simulator = "http://127.0.0.1:5301"

[systems.sap]
role = "erp"
address = "127.0.0.1:5203"
tenants = ["globex"]

[systems.salesforce]
role = "crm"
address = "127.0.0.1:5202"
tenants = ["*"]

[[routing]]
tenant = "acme"
region = "EMEA"
erp = "netsuite"
crm = "salesforce"

[[routing]]
tenant = "globex"
business_unit = "spares"
erp = "netsuite"
crm = "salesforce"

[[routing]]
erp = "sap"
crm = "salesforce"
"""


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    path = tmp_path / "topology.toml"
    path.write_text(FILE)
    return Topology.load(path)


def test_a_service_is_found_under_its_address_or_else_its_dns_name(topology: Topology) -> None:
    assert topology.service_target("customer") == "127.0.0.1:5101"
    assert topology.service_target("order") == "dns:///order:50051"
    assert Topology.load(None).service_target("invoice") == "dns:///invoice:50051"


def test_the_first_rule_that_covers_the_order_wins(topology: Topology) -> None:
    assert topology.route("acme", "EMEA", "any").erp == "netsuite"
    assert topology.route("globex", "EMEA", "").erp == "sap"


def test_a_rule_never_leads_a_tenant_to_a_system_that_does_not_serve_it(topology: Topology) -> None:
    for tenant, unit in (("globex", "spares"), ("acme", "")):
        with pytest.raises(Refused) as refused:
            topology.route(tenant, "APAC", unit)
        assert refused.value.reason == "ROUTE_NOT_CONFIGURED"


def test_a_foreign_system_looks_like_an_absent_one(topology: Topology) -> None:
    refusals = []
    for name in ("netsuite", "oracle"):
        with pytest.raises(Refused) as refused:
            topology.system(name, "globex")
        refusals.append((refused.value.reason, refused.value.detail.replace(name, "x")))
    assert refusals[0] == refusals[1]
    assert topology.system("netsuite", "acme").role == "erp"
    assert set(topology.systems_of("globex")) == {"sap", "salesforce"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('crm = "salesforce"', 'crm = "sap"'), "no system of that role"),
        (('customer = "127.0.0.1:5101"', 'billing = "127.0.0.1:5101"'), "billing"),
        (('role = "crm"', 'role = "wms"'), "role"),
        (("[services]", "[services"), "topology.toml"),
    ],
)
def test_a_wrong_file_is_refused_at_start(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    path = tmp_path / "topology.toml"
    path.write_text(FILE.replace(*change, 1))
    with pytest.raises(TopologyInvalid, match=word):
        Topology.load(path)


def test_a_missing_file_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(TopologyInvalid, match="nowhere"):
        Topology.load(tmp_path / "nowhere.toml")
