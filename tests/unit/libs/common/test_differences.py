"""Differences are told field by field, numbers by their value, and sensitive ones only to who may see them."""

from decimal import Decimal

import pytest
from google.type.money_pb2 import Money
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.order.v1 import order_pb2

from libs.common.differences import (
    DIFFERENCES_MAX,
    SHOWN_MAX,
    Place,
    differing,
    leaves,
    message_differences,
    shown_to,
)
from libs.common.masking import is_redacted, masked, unmasked


def test_every_leaf_has_its_path_and_empty_ones_have_none() -> None:
    value: dict[str, object] = {
        "a": {"b": [1, Decimal("2.50"), {"c": True}]},
        "none": None,
        "empty": "",
        "list": [],
    }
    assert leaves(value) == {"a.b[0]": "1", "a.b[1]": "2.5", "a.b[2].c": "true"}


def test_a_message_is_told_in_its_own_words() -> None:
    order = order_pb2.Order(state=order_pb2.ORDER_STATE_POSTED)
    order.lines.add().unit_price.CopyFrom(Money(currency_code="EUR", units=12, nanos=500_000_000))
    assert leaves(order) == {"state": "ORDER_STATE_POSTED", "lines[0].unit_price": "12.500000000 EUR"}


def test_numbers_are_the_same_whatever_their_digits() -> None:
    assert differing(Place("x"), {"a": "12.5", "b": "x"}, {"a": "12.50", "b": "x"}) == []
    (told,) = differing(Place("x"), {"a": "12.5"}, {"a": "NaN"})
    assert (told.old_value, told.new_value) == ("12.5", "NaN")


def test_what_comes_and_what_goes_is_told_apart_from_what_is_empty() -> None:
    new, gone = differing(Place("x"), {"gone": "1"}, {"new": "2"})
    assert (new.path, new.HasField("old_value"), new.new_value) == ("new", False, "2")
    assert (gone.path, gone.old_value, gone.HasField("new_value")) == ("gone", "1", False)


def test_neither_many_differences_nor_long_values_grow_without_bound() -> None:
    told = differing(Place("x"), {}, {str(number): "y" * 9000 for number in range(DIFFERENCES_MAX + 5)})
    assert len(told) == DIFFERENCES_MAX
    assert len(told[0].new_value) == SHOWN_MAX


@pytest.mark.parametrize(
    ("path", "redacted"),
    [
        ("memo", False),
        ("lines[0].tax_code", False),
        ("ship_to", True),  # holds personal fields
        ("ship_to.addressee", True),
        ("ship_to.country_code", False),
        ("no_such_field", True),
        ("", True),
    ],
)
def test_what_is_marked_holds_something_marked_or_is_not_known_counts_as_sensitive(
    path: str, redacted: bool
) -> None:
    assert is_redacted(order_pb2.Order(), path) is redacted


@pytest.mark.parametrize(("roles", "seen"), [({"support_operator"}, "***"), ({"steward"}, "b@example.com")])
def test_sensitive_values_are_shown_to_those_who_decide(roles: set[str], seen: str) -> None:
    before, after = customer_pb2.Customer(email="a@example.com"), customer_pb2.Customer(email="b@example.com")
    (told,) = shown_to(roles, message_differences("customers/1", before, after))
    assert (told.path, told.new_value) == ("email", seen)


def test_personal_values_in_words_are_hidden_and_come_back_when_nobody_changed_the_words() -> None:
    original = order_pb2.Order(order_id="ord_1", memo="write ann@example.com")
    edited = masked(original)
    assert isinstance(edited, order_pb2.Order)
    assert edited.memo == "write ***"
    (told,) = shown_to({"support_operator"}, message_differences("orders/1", None, original))[1:]
    assert (told.path, told.new_value) == ("memo", "write ***")

    unmasked(edited, original)
    assert edited == original
    edited.memo = "call ***"
    unmasked(edited, original)
    assert edited.memo == "call ***"


def test_what_was_shown_masked_and_came_back_so_is_the_original_s() -> None:
    original = change_pb2.ExternalChange(version="1")
    customer = original.customer
    customer.name, customer.email, customer.phone = "Ann", "ann@example.com", "1"
    customer.bill_to.addressee = "Ann"
    customer.bill_to.lines.extend(["Street 1", "Floor 2"])
    customer.credit_limit.CopyFrom(Money(currency_code="EUR", units=100))

    edited = masked(original)
    assert isinstance(edited, change_pb2.ExternalChange)
    edited.customer.name, edited.customer.phone = "Bea", "2"
    unmasked(edited, original)

    assert (edited.customer.name, edited.customer.phone) == ("Bea", "2")
    assert edited.customer.email == "ann@example.com"
    assert list(edited.customer.bill_to.lines) == ["Street 1", "Floor 2"]
    assert edited.customer.bill_to.addressee == "Ann"
    assert edited.customer.credit_limit.units == 100
