"""The goods are plausible, exact and the same for the same seed."""

from decimal import Decimal

import pytest
from google.protobuf import json_format
from ordermesh.order.v1 import order_pb2

from libs.cli.demo.goods import LINES_MAX, UNKNOWN_TAX_CODE, DraftOrder, draw_goods
from libs.cli.demo.submission import canonical_parcel, money
from libs.common.money import decimals_of, money_from


def test_the_same_seed_draws_the_same_goods() -> None:
    assert draw_goods(7, 50) == draw_goods(7, 50)
    assert draw_goods(7, 50) != draw_goods(8, 50)


def test_names_and_keys_are_distinct() -> None:
    goods = draw_goods(7, 200)
    assert len({company.key for company in goods.companies}) >= 50
    assert len({company.name for company in goods.companies}) == len(goods.companies)
    assert len({article.sku for article in goods.articles}) >= 80
    assert len({article.name for article in goods.articles}) == len(goods.articles)
    assert len({order.purchase_order for order in goods.orders}) == 200


def test_orders_have_up_to_twelve_lines_and_amounts_in_whole_cents() -> None:
    orders = draw_goods(7, 400).orders
    assert {len(order.lines) for order in orders} == set(range(1, LINES_MAX + 1))
    assert all(decimals_of(line.amount) <= 2 and line.amount > 0 for order in orders for line in order.lines)


def test_half_of_the_orders_are_in_the_vendors_own_shape() -> None:
    orders = draw_goods(7, 200).orders
    assert sum(order.native for order in orders) == 100


@pytest.mark.parametrize("count", [1, 2, 3, 20, 220])
def test_exactly_one_canonical_order_carries_the_tax_code_that_is_refused(count: int) -> None:
    goods = draw_goods(7, count)
    carriers = [order for order in goods.orders if carries_unknown_tax_code(order)]
    assert carriers == [goods.refused]
    assert not goods.refused.native


def carries_unknown_tax_code(order: DraftOrder) -> bool:
    return any(line.tax_code == UNKNOWN_TAX_CODE for line in order.lines)


def test_the_canonical_request_is_an_order_of_the_contract() -> None:
    draft = draw_goods(7, 3).orders[2]
    parcel = canonical_parcel(draft, {"system": "salesforce", "externalId": "001xx"})
    order = json_format.Parse(parcel.body, order_pb2.Order())
    assert money_from(order.total).amount == draft.total
    assert (
        sum(money_from(each.unit_price).amount * Decimal(each.quantity.value) for each in order.lines)
        == draft.total
    )
    assert order.sold_to.external.external_id == "001xx"


@pytest.mark.parametrize("text", ["0.01", "12.50", "999999.99", "3"])
def test_money_in_json_keeps_every_digit(text: str) -> None:
    told = money(Decimal(text), "EUR")
    assert Decimal(str(told["units"])) + Decimal(str(told["nanos"])).scaleb(-9) == Decimal(text)
