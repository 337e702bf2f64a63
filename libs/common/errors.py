"""Errors, sorted by what the caller may do next. Open this file before you raise or catch anything.

    OrdermeshError
    ├── Refused          never repeat unchanged: a person or the caller must change something
    ├── NotDone          surely not applied: repeat freely, not before `retry_after`
    └── OutcomeUnknown   perhaps applied: repeat under the same key only, or look first

A reason from `error_reason.proto` decides HTTP status, gRPC code, class and owner; nothing here repeats that list.
A refused connection is NotDone, a read timeout after the request left is OutcomeUnknown: that line is where
double bookings come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Self

from ordermesh.common.v1 import error_reason_pb2

from libs.common.personal import hidden

PREFIX = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class ReasonPolicy:
    """What the contract declares about a reason."""

    reason: str
    http_status: int
    grpc_code: int
    failure_class: str
    """`technical` (a machine can make it go away) or `business` (a person must)."""
    owner: str
    """Team whose queue it lands in, lower case with dashes, for example `master-data`."""
    retryable: bool
    title: str
    four_eyes: bool
    """Whether a second person must approve what is done about an item parked for it."""


def _declared_policies() -> Mapping[str, ReasonPolicy]:
    policies = {}
    for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values:
        if value.number == 0:
            continue
        declared = value.GetOptions().Extensions[error_reason_pb2.policy]
        reason = value.name.removeprefix(PREFIX)
        failure_class = error_reason_pb2.FailureClass.Name(declared.failure_class)
        owner = error_reason_pb2.OwnerTeam.Name(declared.owner)
        policies[reason] = ReasonPolicy(
            reason=reason,
            http_status=declared.http_status,
            grpc_code=declared.grpc_code,
            failure_class=failure_class.removeprefix("FAILURE_CLASS_").lower(),
            owner=owner.removeprefix("OWNER_TEAM_").lower().replace("_", "-"),
            retryable=declared.retryable,
            title=declared.title,
            four_eyes=declared.four_eyes,
        )
    return MappingProxyType(policies)


POLICIES: Mapping[str, ReasonPolicy] = _declared_policies()
"""Every reason of the contract by its short name, for example `CUSTOMER_UNKNOWN`."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks a rule."""

    field: str
    """Path in the request, as protobuf names it: `order.lines[0].quantity`."""
    description: str
    reason: str = "INVALID_FIELD"
    rule: str = ""
    """Name of the rule, for example `string.max_len`. Empty where the reason says it all."""
    owner: str = ""
    """System or team that owns the field, where that is the point of the refusal."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "field", hidden(self.field))
        object.__setattr__(self, "description", hidden(self.description))


@dataclass(frozen=True, slots=True)
class Facts:
    """What an error carries besides its reason; all of it may be shown outward."""

    violations: tuple[Violation, ...] = ()
    retry_after: timedelta | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    verdict: str = ""
    """The outside system's own words, without personal data."""


class OrdermeshError(Exception):
    """Base of all expected failures. `detail` is for people: no secrets, no personal data, no vendor prose.

    Personal values that a vendor or a caller's text brings along all the same are blanked here (`personal.py`).
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
        verdict: str = "",
    ) -> None:
        assert reason in POLICIES, f"{reason} is not in error_reason.proto"
        self.policy = POLICIES[reason]
        self.detail = hidden(detail) or self.policy.title
        told = {name: hidden(value) for name, value in (metadata or {}).items()}
        self.facts = Facts(tuple(violations), retry_after, told, hidden(verdict))
        super().__init__(f"{reason}: {self.detail}")

    @property
    def reason(self) -> str:
        return self.policy.reason

    def with_metadata(self, **more: str) -> Self:
        """The same error, telling more; what it tells already stays."""
        facts = self.facts
        return type(self)(
            self.reason,
            self.detail,
            violations=facts.violations,
            retry_after=facts.retry_after,
            metadata={**more, **facts.metadata},
            verdict=facts.verdict,
        )

    @property
    def violations(self) -> tuple[Violation, ...]:
        return self.facts.violations

    @property
    def retry_after(self) -> timedelta | None:
        return self.facts.retry_after


class Refused(OrdermeshError):
    """Never repeat unchanged."""

    @classmethod
    def field(cls, reason: str, path: str, description: str, *, owner: str = "") -> "Refused":
        """A refusal that points at one field; `path` as in `Violation.field`."""
        return cls(reason, description, violations=[Violation(path, description, reason, owner=owner)])


class NotDone(OrdermeshError):
    """Surely not applied; repeat freely."""


class OutcomeUnknown(OrdermeshError):
    """Perhaps applied; repeat under the same key only, or look first."""
