"""Filters as the database answers them: differences, several values of one field, and times."""

from itertools import product

import httpx

from tests.builders import erp_customer
from tests.integration.services.edge import AtTheEdge, at_the_edge
from tests.integration.services.world import World

LISTS = ("/v1/customers", "/v1/products", "/v1/orders", "/v1/invoices", "/v1/exceptions")


async def numbers(edge: AtTheEdge, text: str) -> list[str]:
    """Of the customers that the filter lets through, oldest first."""
    answer = await listed(edge, text)
    assert answer.status_code == 200, answer.text
    return [customer["number"] for customer in reversed(answer.json()["customers"])]


async def listed(edge: AtTheEdge, text: str) -> httpx.Response:
    return await edge.http.get("/v1/customers", params={"filter": text}, headers=edge.bearer())


async def with_customers(world: World) -> str:
    """C-1 and C-2, the second one closed, and C-3 an hour later; the time in between."""
    world.says(erp_customer("1", number="C-1"), erp_customer("2", number="C-2", inactive=True))
    await world.take_in("customer")
    world.pass_by(1800)
    between = world.clock.now()
    world.pass_by(1800)
    world.says(erp_customer("3", number="C-3"))
    await world.take_in("customer")
    return between.isoformat().replace("+00:00", "Z")


async def test_filters_let_through_what_they_say(world: World) -> None:
    between = await with_customers(world)
    async with at_the_edge(world) as edge:
        assert await numbers(edge, "state = CUSTOMER_STATE_ACTIVE") == ["C-1", "C-3"]
        assert await numbers(edge, "state != ACTIVE") == ["C-2"]
        assert await numbers(edge, "number = C-1 OR number = C-2") == ["C-1", "C-2"]
        assert await numbers(edge, "state = ACTIVE AND (number = C-1 OR number = C-2)") == ["C-1"]
        assert await numbers(edge, f'updateTime >= "{between}"') == ["C-3"]
        assert await numbers(edge, f"updateTime < {between}") == ["C-1", "C-2"]
        assert await numbers(edge, 'number = "it\'s; DROP TABLE customers"') == []


async def test_pages_of_a_filtered_list_follow_each_other(world: World) -> None:
    await with_customers(world)
    async with at_the_edge(world) as edge:
        seen, token = [], ""
        for _ in range(2):
            query = {"filter": "number != C-9 AND state = ACTIVE", "pageSize": "1", "pageToken": token}
            page = (await edge.http.get("/v1/customers", params=query, headers=edge.bearer())).json()
            seen += [customer["number"] for customer in page["customers"]]
            token = page["nextPageToken"]
    assert (seen, token) == (["C-3", "C-1"], "")


async def test_filter_that_is_not_understood_is_refused_with_its_place(world: World) -> None:
    texts = ("colour = red", "state", 'state = "\\u0000"', "state = A OR owner = B")
    async with at_the_edge(world) as edge:
        for path, text in product(LISTS, texts):
            answer = await edge.http.get(path, params={"filter": text}, headers=edge.bearer())
            (error,) = answer.json()["errors"]
            assert (answer.status_code, answer.json()["code"]) == (400, "FILTER_INVALID"), text
            assert error["parameter"] == "filter"
            assert error["detail"].startswith("at character "), error
