"""Many requests at a time: one kind of work, one tenant or one client never takes the places of the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from gateway.company import IN_COMPANY_MAX
from tests.contract.test_gateway.backend import Told
from tests.contract.test_gateway.mesh import Mesh, running_mesh

PATHS = {"ListOrders": "/v1/orders", "GetOrder": "/v1/orders/ord_1"}


@asynccontextmanager
async def hanging(mesh: Mesh, method: str, times: int, **whose: str) -> AsyncIterator[None]:
    """So many calls of a method that hang in the service; answered at the end."""
    released, came = asyncio.Event(), asyncio.Semaphore(0)

    async def wait() -> None:
        came.release()
        await released.wait()

    mesh.order.told[method] = Told(wait_for=wait)
    asking = [
        asyncio.ensure_future(mesh.http.get(PATHS[method], headers=mesh.bearer(**whose)))
        for _ in range(times)
    ]
    try:
        async with asyncio.timeout(20):
            for _ in asking:
                await came.acquire()
        yield
    finally:
        released.set()
        del mesh.order.told[method]
        answers = await asyncio.gather(*asking)
    assert [answer.status_code for answer in answers] == [200] * times


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code", ""))


async def test_orders_are_taken_while_every_list_hangs(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, bulk_requests_max=2) as mesh:
        async with hanging(mesh, "ListOrders", 2):
            refused = await mesh.get("/v1/orders")
            assert code(refused) == (503, "OVERLOADED")
            assert refused.headers["retry-after"] == "1"
            assert refused.json()["retryAfterSeconds"] == 1
            assert (await mesh.submit()).status_code == 202
            assert (await mesh.get("/v1/orders/ord_1")).status_code == 200
        assert (await mesh.get("/v1/orders")).status_code == 200


async def test_replays_of_many_share_the_lane_of_lists(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, bulk_requests_max=1) as mesh, hanging(mesh, "ListOrders", 1):
        refused = await mesh.post("/v1/exceptions:replay", {"reason": "mended"}, "support_operator")
        assert code(refused) == (503, "OVERLOADED")


async def test_orders_are_taken_while_all_other_requests_hang(tmp_path: Path) -> None:
    async with (
        running_mesh(tmp_path, requests_max=4, places_for_orders=2) as mesh,
        hanging(mesh, "GetOrder", 2),
    ):
        assert code(await mesh.get("/v1/orders/ord_1")) == (503, "OVERLOADED")
        assert (await mesh.submit()).status_code == 202


async def test_one_client_cannot_take_the_places_of_its_tenant(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, client_requests_max=2) as mesh:
        async with hanging(mesh, "GetOrder", 2, subject="one"):
            refused = await mesh.http.get("/v1/systems", headers=mesh.bearer(subject="one"))
            assert code(refused) == (429, "CONCURRENCY_LIMITED")
            assert refused.headers["retry-after"] == "1"
            assert refused.json()["facts"] == {"scope": "client", "requestsMax": "2"}
            assert (await mesh.http.get("/v1/systems", headers=mesh.bearer(subject="two"))).status_code == 200
        assert (await mesh.http.get("/v1/systems", headers=mesh.bearer(subject="one"))).status_code == 200


async def test_one_tenant_cannot_take_the_places_of_another(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, tenant_requests_max=2) as mesh, hanging(mesh, "GetOrder", 2):
        refused = await mesh.submit()
        assert code(refused) == (429, "CONCURRENCY_LIMITED")
        assert refused.json()["facts"]["scope"] == "tenant"
        other = mesh.bearer(tenant="globex")
        assert (await mesh.http.get("/v1/systems", headers=other)).status_code == 200


async def test_places_are_given_back_whatever_becomes_of_a_request(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, client_requests_max=1, bulk_requests_max=1) as mesh:
        for _ in range(3):
            assert (await mesh.http.get("/v1/orders?colour=red", headers=mesh.bearer())).status_code == 400
        assert (await mesh.get("/v1/orders")).status_code == 200


async def test_a_tenant_s_flood_waits_at_the_door_while_another_hands_orders_in(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        other = mesh.bearer(tenant="globex")
        assert (await mesh.submit(**other)).status_code == 202
        released, came = asyncio.Event(), asyncio.Semaphore(0)

        async def wait() -> None:
            came.release()
            await released.wait()

        mesh.order.told["SubmitOrder"] = Told(wait_for=wait)
        handed_in = [asyncio.ensure_future(mesh.submit()) for _ in range(3 * IN_COMPANY_MAX)]
        async with asyncio.timeout(20):
            for _ in range(IN_COMPANY_MAX):
                await came.acquire()
            handed_in.append(asyncio.ensure_future(mesh.submit(**other)))
            await came.acquire()
        last = mesh.order.calls("SubmitOrder")[-1]
        assert last.metadata["authorization"] == other["Authorization"]
        released.set()
        assert {answer.status_code for answer in await asyncio.gather(*handed_in)} == {202}


async def test_who_waits_for_news_of_an_order_holds_no_place_of_those_to_come(tmp_path: Path) -> None:
    async with running_mesh(tmp_path) as mesh:
        assert (await mesh.submit(**mesh.bearer(tenant="globex"))).status_code == 202
        released, came = asyncio.Event(), asyncio.Semaphore(0)

        async def wait() -> None:
            came.release()
            await released.wait()

        mesh.order.told["GetOrder"] = Told(wait_for=wait)
        waiting = [asyncio.ensure_future(mesh.submit(Prefer="wait=10")) for _ in range(2 * IN_COMPANY_MAX)]
        async with asyncio.timeout(20):
            for _ in waiting:
                await came.acquire()
        assert (await mesh.submit()).status_code == 202
        released.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {202}
