"""Templates and the route table."""

from collections.abc import Mapping

import pytest

from gateway.exchange import AtTheEdge, Exchange, Reply
from gateway.routes import Route, RouteTable, Template
from gateway.rules import public_rules


async def nothing(_exchange: Exchange, _variables: Mapping[str, str]) -> Reply:
    return Reply(204)


def table_of(*stated: tuple[str, str]) -> RouteTable:
    return RouteTable(Route(verb, Template.parse(path), nothing, frozenset()) for verb, path in stated)


TABLE = table_of(
    ("GET", "/v1/orders"),
    ("GET", "/v1/orders/{order_id}"),
    ("POST", "/v1/orders/{order_id}:hold"),
    ("GET", "/v1/{subject=orders/*}/lineage"),
    ("GET", "/v1/customers/{customer_id}"),
    ("PATCH", "/v1/customers/{customer.customer_id}"),
)


@pytest.mark.parametrize(
    ("verb", "path", "variables"),
    [
        ("GET", "/v1/orders", {}),
        ("GET", "/v1/orders/ord_1", {"order_id": "ord_1"}),
        ("GET", "/v1/orders/a b", {"order_id": "a b"}),
        ("POST", "/v1/orders/ord_1:hold", {"order_id": "ord_1"}),
        ("GET", "/v1/orders/ord_1/lineage", {"subject": "orders/ord_1"}),
        ("GET", "/v1/customers/c", {"customer_id": "c"}),
        ("PATCH", "/v1/customers/c", {"customer.customer_id": "c"}),
    ],
)
def test_path_finds_its_route_and_its_values(verb: str, path: str, variables: dict[str, str]) -> None:
    found = TABLE.find(verb, path)
    assert found is not None
    assert found.variables == variables


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/orders/",
        "/v1/orders/a/b",
        "/v1/orders/a:b:hold",
        "/v1/orders/a\x00",
        "/V1/orders",
    ],
)
def test_other_paths_find_nothing(path: str) -> None:
    assert TABLE.find("GET", path) is None
    assert TABLE.verbs(path) == ()


def test_wrong_verb_is_told_the_right_ones() -> None:
    with pytest.raises(AtTheEdge) as refused:
        TABLE.find("DELETE", "/v1/customers/c")
    assert refused.value.headers == {"Allow": "GET, HEAD, OPTIONS, PATCH"}


def test_same_verb_and_path_twice_is_a_bug_found_at_start() -> None:
    with pytest.raises(AssertionError, match="declared twice"):
        table_of(("GET", "/v1/orders/{order_id}"), ("GET", "/v1/orders/{id}"))


def test_every_rule_of_the_contracts_has_a_name_and_a_template_that_can_be_read() -> None:
    rules = list(public_rules())
    names = {rule.name: rule.method.path for rule in rules}
    assert len(set(names.values())) == len(names)
    for rule in rules:
        Template.parse(rule.template)
        assert rule.method.roles
        assert rule.method.effect == (rule.verb != "GET")
        assert (rule.key is not None) == rule.method.effect
