"""Deadlines and retries: every method is named, and only what may be sent twice is sent twice."""

import json
from pathlib import Path

from ordermesh.common.v1 import access_pb2

from libs.common.rpc.contract import (
    FILES,
    MESH,
    OVER_A_TENANT,
    call_policies,
    methods,
    redacted_fields,
    service_config_text,
)
from libs.common.rpc.server import MESSAGE_BYTES_MAX

PROTOS = Path(__file__).resolve().parents[2] / "protos"
CONFIG = json.loads(service_config_text())


def test_no_contract_with_a_service_is_forgotten() -> None:
    declaring = {
        path.relative_to(PROTOS).as_posix()
        for path in (PROTOS / "ordermesh").rglob("*.proto")
        if "\nservice " in path.read_text()
    }
    assert {file.name for file in FILES} == declaring


def test_every_method_has_exactly_one_entry_and_no_entry_is_stale() -> None:
    named = [
        f"/{name['service']}/{name['method']}" for entry in CONFIG["methodConfig"] for name in entry["name"]
    ]
    assert sorted(named) == sorted(set(named))
    declared = {
        f"/{service.full_name}/{method.name}"
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
    }
    assert set(named) == declared


def test_grpc_repeats_only_what_may_be_repeated() -> None:
    unsafe = [
        path
        for path, method in methods().items()
        if call_policies()[path].attempts_max > 1 and not method.repeatable
    ]
    assert unsafe == []


def test_every_retry_is_bounded_and_heeds_only_unavailable() -> None:
    policies = [entry["retryPolicy"] for entry in CONFIG["methodConfig"] if "retryPolicy" in entry]
    assert policies
    for policy in policies:
        assert 2 <= policy["maxAttempts"] <= 5
        assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]
        assert float(policy["maxBackoff"].removesuffix("s")) <= 5


def test_a_write_to_an_outside_system_is_repeated_by_nobody_but_the_relay() -> None:
    assert call_policies()["/ordermesh.connector.v1.ConnectorService/ApplyChange"].attempts_max == 1


def test_every_deadline_is_set_and_leaves_room_for_the_longest_wait_a_caller_may_ask_for() -> None:
    assert all(0 < policy.timeout_seconds <= 120 for policy in call_policies().values())
    assert call_policies()["/ordermesh.order.v1.OrderService/GetOrder"].timeout_seconds > 30


def test_every_method_says_whom_it_admits() -> None:
    """A method that names nobody is open to admin and mesh only; that must be said, not forgotten."""
    silent = [
        method.full_name
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
        if not method.GetOptions().Extensions[access_pb2.allowed_roles]
    ]
    assert silent == []


def test_effects_and_roles_are_read_off_the_contract() -> None:
    get_order = methods()["/ordermesh.order.v1.OrderService/GetOrder"]
    approve = methods()["/ordermesh.order.v1.OrderService/ApproveOrder"]
    assert not get_order.effect
    assert approve.effect
    assert approve.roles == MESH | OVER_A_TENANT | {"approver"}


def test_personal_and_financial_fields_are_known_in_both_spellings() -> None:
    assert {"tax_id", "taxId", "email", "credit_limit", "creditLimit", "postalCode"} <= redacted_fields()
    assert "order_id" not in redacted_fields()


def test_the_largest_payload_of_a_vendor_fits_into_a_message() -> None:
    assert MESSAGE_BYTES_MAX > 6_291_456
