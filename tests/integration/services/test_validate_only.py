"""With `validateOnly` a write answers as it would, and nothing at all is kept."""

from collections.abc import Mapping

from tests.integration.services.edge import AtTheEdge, at_the_edge
from tests.integration.services.test_orders import submitted, with_master_data
from tests.integration.services.world import World

TABLES = ("idempotency", "event", "delivery", "audit", "link")


def an_order(customer_id: str, sku: str = "BOLT") -> dict[str, object]:
    price = {"currencyCode": "USD", "units": "12", "nanos": 500_000_000}
    return {
        "soldTo": {"customerId": customer_id},
        "currencyCode": "USD",
        "lines": [{"sku": sku, "quantity": {"value": "8"}, "unitPrice": price}],
    }


def headers(edge: AtTheEdge, key: str = "k") -> Mapping[str, str]:
    return {**edge.bearer(), "Idempotency-Key": key, "If-Match": "*"}


async def test_an_order_that_would_be_accepted_is_shown_and_not_kept(world: World) -> None:
    customer_id = await with_master_data(world)
    before = await world.counts("order", "orders", *TABLES)
    async with at_the_edge(world) as edge:
        path, body = "/v1/orders?validateOnly=true", an_order(customer_id)
        checked = await edge.http.post(path, json=body, headers=headers(edge))
        refused = await edge.http.post(path, json=an_order(customer_id, "NOTHING"), headers=headers(edge))
        assert await world.counts("order", "orders", *TABLES) == before
        accepted = await edge.http.post("/v1/orders", json=body, headers=headers(edge))
    assert checked.status_code == 200
    assert "location" not in checked.headers
    assert not {"orderId", "statusUrl"} & checked.json().keys()
    assert checked.json()["order"]["total"] == accepted.json()["order"]["total"]
    assert (refused.status_code, refused.json()["code"]) == (400, "PRODUCT_UNKNOWN")
    assert (accepted.status_code, "idempotent-replayed" in accepted.headers) == (202, False)


async def test_a_decision_is_tried_and_not_taken(world: World) -> None:
    order_id = await submitted(world)
    before = await world.counts("order", "orders", *TABLES)
    async with at_the_edge(world) as edge:
        tried = await edge.http.post(
            f"/v1/orders/{order_id}:hold", json={"validateOnly": True}, headers=headers(edge)
        )
        refused = await edge.http.post(
            f"/v1/orders/{order_id}:release", json={"validateOnly": True}, headers=headers(edge)
        )
        kept = await edge.http.get(f"/v1/orders/{order_id}", headers=headers(edge))
    assert tried.json()["order"]["state"] == "ORDER_STATE_ON_HOLD"
    assert refused.json()["code"] == "STATE_FORBIDS"
    assert kept.json()["order"]["state"] == "ORDER_STATE_RECEIVED"
    assert await world.counts("order", "orders", *TABLES) == before


async def test_a_change_of_a_record_is_tried_and_not_made(world: World) -> None:
    customer_id = await with_master_data(world)
    before = await world.counts("customer", "customers", *TABLES)
    async with at_the_edge(world) as edge:
        path = f"/v1/customers/{customer_id}?validateOnly=true"
        tried = await edge.http.patch(path, json={"segment": "gold"}, headers=headers(edge))
        stale = await edge.http.patch(
            path, json={"segment": "gold"}, headers={**headers(edge), "If-Match": '"0"'}
        )
        kept = await edge.http.get(f"/v1/customers/{customer_id}", headers=headers(edge))
    assert tried.json()["customer"]["segment"] == "gold"
    assert stale.status_code == 412
    assert "segment" not in kept.json()["customer"]
    assert await world.counts("customer", "customers", *TABLES) == before
