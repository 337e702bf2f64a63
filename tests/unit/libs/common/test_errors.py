"""Every failure has a reason of the contract, and is sorted by what the caller may do next."""

from datetime import timedelta

import pytest

from libs.common.errors import POLICIES, NotDone, OrdermeshError, OutcomeUnknown, Refused, Violation


def test_every_reason_of_the_contract_is_whole() -> None:
    lacking = [
        policy.reason
        for policy in POLICIES.values()
        if not (
            400 <= policy.http_status < 600
            and 0 < policy.grpc_code <= 16
            and policy.failure_class in ("technical", "business")
            and policy.owner not in ("", "unspecified")
            and policy.title
        )
    ]

    assert lacking == []


def test_a_reason_that_is_not_in_the_contract_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Refused("NO_SUCH_REASON")


@pytest.mark.parametrize("kind", [Refused, NotDone, OutcomeUnknown])
def test_an_error_says_what_its_reason_says_unless_it_knows_better(kind: type[OrdermeshError]) -> None:
    assert kind("CONFLICT").detail == POLICIES["CONFLICT"].title
    assert kind("CONFLICT", "two at once").detail == "two at once"
    assert str(kind("CONFLICT", "two at once")) == "CONFLICT: two at once"


def test_the_three_kinds_are_strangers() -> None:
    """Who catches what may be repeated must never catch what may not."""
    kinds = (Refused, NotDone, OutcomeUnknown)

    assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)


def test_a_refusal_of_one_field_points_at_it() -> None:
    refused = Refused.field("QUANTITY_INVALID", "order.lines[0].quantity", "is negative", owner="erp")

    assert refused.violations == (
        Violation("order.lines[0].quantity", "is negative", "QUANTITY_INVALID", owner="erp"),
    )
    assert refused.detail == "is negative"


def test_facts_are_the_error_s_own() -> None:
    metadata = {"region": "EU"}
    error = NotDone("RATE_LIMITED", retry_after=timedelta(seconds=3), metadata=metadata)
    metadata["region"] = "US"

    assert error.retry_after == timedelta(seconds=3)
    assert error.facts.metadata == {"region": "EU"}
