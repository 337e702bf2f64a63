"""A change that callers of the released contracts would stumble over does not get through `make check`.

Each test plants one change into a copy of the compiled contracts and holds it against the contracts as they are.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from ordermesh.common.v1 import access_pb2, error_reason_pb2, ownership_pb2

from protos import compare, release
from tests.tidy.contracts import messages
from tests.tidy.tree import ROOT

CUSTOMER = "ordermesh/customer/v1/customer.proto"
ORDERS = "ordermesh/order/v1/order_service.proto"
REASONS = "ordermesh/common/v1/error_reason.proto"
OUTPUT_ONLY = field_behavior_pb2.OUTPUT_ONLY


@pytest.fixture(scope="module")
def current() -> bytes:
    return release.bare_image(compare.IMAGE.read_bytes())


class Planted:
    """A copy of the contracts to change."""

    def __init__(self, image: bytes) -> None:
        self.files = FileDescriptorSet.FromString(image)

    def message(self, file: str, name: str) -> DescriptorProto:
        return next(found for found in self._file(file).message_type if found.name == name)

    def field(self, file: str, message: str, name: str) -> FieldDescriptorProto:
        return next(found for found in self.message(file, message).field if found.name == name)

    def enum(self, file: str, name: str) -> EnumDescriptorProto:
        return next(found for found in self._file(file).enum_type if found.name == name)

    def method(self, file: str, name: str) -> MethodDescriptorProto:
        services = self._file(file).service
        return next(found for service in services for found in service.method if found.name == name)

    def _file(self, name: str) -> FileDescriptorProto:
        return next(file for file in self.files.file if file.name == name)

    def image(self) -> bytes:
        return self.files.SerializeToString(deterministic=True)


def with_new_field(planted: Planted, rules: validate_pb2.FieldRules) -> None:
    field = planted.message(ORDERS, "HoldOrderRequest").field.add(
        name="colour",
        json_name="colour",
        number=90,
        type=FieldDescriptorProto.TYPE_STRING,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
    )
    field.options.Extensions[validate_pb2.field].CopyFrom(rules)


def new_required_field(planted: Planted) -> None:
    with_new_field(planted, validate_pb2.FieldRules(required=True))


def new_field_of_one_character_at_least(planted: Planted) -> None:
    with_new_field(planted, validate_pb2.FieldRules(string=validate_pb2.StringRules(min_len=1, max_len=9)))


def field_becomes_required(planted: Planted) -> None:
    field = planted.field(ORDERS, "HoldOrderRequest", "reason")
    field.options.Extensions[validate_pb2.field].required = True


def bound_becomes_lower(planted: Planted) -> None:
    planted.field(CUSTOMER, "Customer", "name").options.Extensions[validate_pb2.field].string.max_len = 20


def rule_appears(planted: Planted) -> None:
    field = planted.field(CUSTOMER, "Customer", "segment")
    field.options.Extensions[validate_pb2.field].string.pattern = "^[a-z]*$"


def owner_changes(planted: Planted) -> None:
    planted.field(CUSTOMER, "Customer", "segment").options.Extensions[ownership_pb2.owner] = (
        ownership_pb2.OWNER_ERP
    )


def conflict_policy_changes(planted: Planted) -> None:
    policy = planted.message(CUSTOMER, "Customer").options.Extensions[ownership_pb2.resource]
    policy.conflict_policy = ownership_pb2.CONFLICT_POLICY_DROP


def conflict_policy_of_a_field_changes(planted: Planted) -> None:
    policy = planted.field(CUSTOMER, "Customer", "segment").options.Extensions[ownership_pb2.field_policy]
    policy.conflict_policy = ownership_pb2.CONFLICT_POLICY_DROP


def callers_may_no_longer_set_a_field(planted: Planted) -> None:
    field = planted.field(CUSTOMER, "Customer", "segment")
    field.options.Extensions[field_behavior_pb2.field_behavior].append(OUTPUT_ONLY)  # type: ignore[index]


def role_is_turned_away(planted: Planted) -> None:
    options = planted.method(ORDERS, "HoldOrder").options
    kept = [
        role
        for role in options.Extensions[access_pb2.allowed_roles]
        if role != access_pb2.ROLE_SUPPORT_OPERATOR
    ]
    options.ClearExtension(access_pb2.allowed_roles)
    options.Extensions[access_pb2.allowed_roles].extend(kept)


def route_moves(planted: Planted) -> None:
    http: http_pb2.HttpRule = planted.method(ORDERS, "HoldOrder").options.Extensions[annotations_pb2.http]  # type: ignore[index]
    http.post = "/v1/orders/{order_id}:stop"


def reason_gets_another_status(planted: Planted) -> None:
    values = planted.enum(REASONS, "ErrorReason").value
    planted_one = next(value for value in values if value.name == "ERROR_REASON_CREDIT_LIMIT_EXCEEDED")
    planted_one.options.Extensions[error_reason_pb2.policy].http_status = 418


POLICIES: list[tuple[Callable[[Planted], None], str]] = [
    (new_required_field, "HoldOrderRequest.colour: a new field must not be required"),
    (new_field_of_one_character_at_least, "HoldOrderRequest.colour: a new field must not be required"),
    (field_becomes_required, "HoldOrderRequest.reason: the field has become required"),
    (bound_becomes_lower, "Customer.name: the rule max_len has become stricter"),
    (rule_appears, "Customer.segment: the rule pattern has become stricter"),
    (owner_changes, "Customer.segment: the owner has changed from OWNER_CRM to OWNER_ERP"),
    (conflict_policy_changes, "Customer: the conflict policy has changed"),
    (conflict_policy_of_a_field_changes, "Customer.segment: the conflict policy has changed"),
    (callers_may_no_longer_set_a_field, "Customer.segment: callers may no longer set the field"),
    (role_is_turned_away, "HoldOrder: ROLE_SUPPORT_OPERATOR may no longer call the method"),
    (route_moves, "HoldOrder: the route POST /v1/orders/{order_id}:hold (body `*`) is gone"),
    (reason_gets_another_status, "ERROR_REASON_CREDIT_LIMIT_EXCEEDED no longer means the same status"),
]


@pytest.mark.parametrize(("plant", "said"), POLICIES, ids=lambda given: getattr(given, "__name__", ""))
def test_a_change_of_policy_is_found(current: bytes, plant: Callable[[Planted], None], said: str) -> None:
    planted = Planted(current)
    plant(planted)
    found = compare.policy_findings(compare.Contracts.read(current), compare.Contracts.read(planted.image()))
    assert [line for line in found if said in line], found
    assert len(found) == 1, found


def enum_value_renumbered(planted: Planted) -> None:
    planted.enum(CUSTOMER, "CustomerState").value[2].number = 3


def field_removed(planted: Planted) -> None:
    fields = planted.message(CUSTOMER, "Customer").field
    fields.remove(planted.field(CUSTOMER, "Customer", "phone"))


def field_gets_another_type(planted: Planted) -> None:
    planted.field(CUSTOMER, "Customer", "phone").type = FieldDescriptorProto.TYPE_BYTES


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (enum_value_renumbered, "CUSTOMER_STATE_INACTIVE"),
        (field_removed, "phone"),
        (field_gets_another_type, "phone"),
        (new_required_field, "HoldOrderRequest.colour"),
        (owner_changes, "Customer.segment"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_the_command_of_make_check_ends_with_an_error(
    current: bytes, tmp_path: Path, plant: Callable[[Planted], None], said: str
) -> None:
    planted = Planted(current)
    plant(planted)
    ended = compared(tmp_path, planted.image(), current)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert said in ended.stdout


def additions(planted: Planted) -> None:
    with_new_field(planted, validate_pb2.FieldRules(string=validate_pb2.StringRules(max_len=9)))
    planted.enum(CUSTOMER, "CustomerState").value.add(name="CUSTOMER_STATE_PROSPECT", number=3)
    options = planted.method(ORDERS, "HoldOrder").options
    options.Extensions[access_pb2.allowed_roles].append(access_pb2.ROLE_STEWARD)
    planted.field(CUSTOMER, "Customer", "name").options.Extensions[validate_pb2.field].string.max_len = 900


def test_what_only_adds_passes(current: bytes, tmp_path: Path) -> None:
    planted = Planted(current)
    additions(planted)
    ended = compared(tmp_path, planted.image(), current)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def compared(folder: Path, image: bytes, released: bytes) -> "subprocess.CompletedProcess[str]":
    """`python -m protos.compare`, as the Makefile runs it."""
    (folder / "image.binpb").write_bytes(image)
    (folder / "released.binpb").write_bytes(released)
    images = [str(folder / name) for name in ("image.binpb", "released.binpb")]
    command = [sys.executable, "-m", "protos.compare", *images]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_contracts_are_held_against_the_newest_release() -> None:
    newest = compare.newest_release()
    assert newest is not None, "keep the contracts of this version: make release"
    assert compare.version_key("0.10.0") > compare.version_key("0.9.1")


def test_a_kept_version_is_never_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "RELEASED", tmp_path / "released")
    monkeypatch.setattr(release, "GOLDEN", tmp_path / "golden")
    assert release.main() == 0
    kept = (tmp_path / "released" / f"{release.version()}.binpb").read_bytes()
    assert release.main() == 1
    assert "raise the version" in capsys.readouterr().err
    assert compare.Contracts.read(kept).messages.keys() >= messages().keys()
    assert list((tmp_path / "golden" / release.version()).glob("*.json"))
