"""Page tokens over several services."""

import pytest
from jsonpb.ordermesh.operations.v1.operations_pb import Delivery
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp

from gateway.merging import Position, ServicePage, merge, missing_pages, read_token, write_token
from libs.common.errors import Refused

SERVICES = ("order", "invoice")
START = {service: Position() for service in SERVICES}


def an_item(delivery_id: str, second: int) -> Delivery:
    return Delivery(delivery_id=delivery_id, create_time=Timestamp(seconds=second))


def a_page(*items: Delivery, token: str = "", next_token: str = "") -> ServicePage:
    return ServicePage(token, items, next_token)


def test_token_leads_back_to_where_it_was_written() -> None:
    positions = {"order": Position("abc", 17), "invoice": Position("", 3)}
    token = write_token(positions, "acme", "state = PARKED")
    assert read_token(token, "acme", "state = PARKED", SERVICES) == positions


def test_no_token_is_the_beginning_of_every_list() -> None:
    assert read_token("", "acme", "", SERVICES) == START


def test_nothing_left_is_no_token() -> None:
    assert write_token({}, "acme", "") == ""


@pytest.mark.parametrize("change", [("globex", ""), ("acme", "state = PARKED")])
def test_token_is_worth_nothing_elsewhere(change: tuple[str, str]) -> None:
    token = write_token({"order": Position("abc", 17)}, "acme", "")
    with pytest.raises(Refused, match="PAGE_TOKEN_INVALID"):
        read_token(token, *change, SERVICES)


def test_token_that_names_a_stranger_is_refused() -> None:
    token = write_token({"payroll": Position()}, "acme", "")
    with pytest.raises(Refused, match="PAGE_TOKEN_INVALID"):
        read_token(token, "acme", "", SERVICES)


def test_next_page_is_wanted_where_an_older_item_may_stand_on_it() -> None:
    found = {
        "order": (a_page(an_item("order.1", 1), an_item("order.2", 2), next_token="n"),),
        "invoice": (a_page(an_item("invoice.1", 1)),),
    }
    assert missing_pages(found, START, 2) == {}
    assert missing_pages(found, {**START, "order": Position("", 1)}, 2) == {"order": "n"}


def test_service_that_was_away_keeps_its_place() -> None:
    found = {"order": (a_page(an_item("order.1", 1), an_item("order.2", 2)),)}
    items, after = merge(found, {"order": Position(), "invoice": Position("t", 5)}, 1)
    assert [item.delivery_id for item in items] == ["order.1"]
    assert after == {"order": Position("", 1), "invoice": Position("t", 5)}


def test_list_ends_when_only_those_away_have_more() -> None:
    _, after = merge({"order": (a_page(an_item("order.1", 1)),)}, START, 5)
    assert after == {}


def test_items_of_one_service_keep_their_order_even_when_their_times_do_not() -> None:
    found = {"order": (a_page(an_item("order.1", 9), an_item("order.2", 3)),)}
    items, _ = merge(found, {"order": Position()}, 5)
    assert [item.delivery_id for item in items] == ["order.1", "order.2"]
