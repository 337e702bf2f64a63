"""The same order sent fifty times at once with one key is one order, one ERP document and one answer."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from libs.cli.demo.goods import draw_goods
from libs.cli.demo.proof import ERP_KIND
from libs.cli.demo.submission import Parcel, canonical_parcel
from libs.cli.demo.vendors import Vendor, load_crm, load_erp
from libs.cli.demo.watch import Watcher, has_reached
from libs.cli.keys import Bearer
from libs.cli.mesh import Mesh
from libs.common.clock import SystemClock
from libs.common.ids import new_id

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("mesh"),
    pytest.mark.timeout(120),
]

TIMES = 50
AGAIN_MAX = 100
PAUSE = timedelta(milliseconds=200)


async def test_fifty_at_once_are_one_order(mesh: Mesh) -> None:
    token = mesh.token(Bearer("acme", "salesforce", ("integration",), "sales"))
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as plain,
        httpx.AsyncClient(
            base_url=mesh.base_url,
            headers={"Authorization": f"Bearer {token}"},
            limits=httpx.Limits(max_connections=TIMES),
            trust_env=False,
            timeout=60,
        ) as client,
    ):
        erp, crm = (Vendor(plain, mesh.plan.simulator_urls[name]) for name in ("netsuite", "salesforce"))
        watcher = Watcher(client, SystemClock())
        parcel = await a_parcel(erp, crm, watcher)

        answers = await asyncio.gather(*(send(client, watcher, parcel) for _ in range(TIMES)))

        assert len(set(answers)) == 1
        order_id = httpx.Response(202, content=answers[0]).json()["orderId"]
        while not has_reached((await watcher.orders()).get(order_id), "POSTED"):
            await watcher.pause(PAUSE)
        documents = [
            document
            for document in (await erp.ledger(ERP_KIND)).documents
            if parcel.order.purchase_order == document.reference
        ]
        assert [document.external_id for document in documents] == [order_id]


async def a_parcel(erp: Vendor, crm: Vendor, watcher: Watcher) -> Parcel:
    """An order of a customer and products that the mesh knows."""
    goods = draw_goods(5, 2, tag=new_id("run")[-6:])
    await load_erp(erp, goods.companies, goods.articles)
    accounts = await load_crm(crm, goods.companies, goods.articles)
    for kind, wanted in (("customers", len(goods.companies)), ("products", len(goods.articles))):
        while await watcher.linked(kind, ("netsuite", "salesforce")) < wanted:
            await watcher.pause(PAUSE)
    order = next(each for each in goods.orders if each is not goods.refused)
    return canonical_parcel(order, {"system": "salesforce", "externalId": accounts[order.company.key]})


async def send(client: httpx.AsyncClient, watcher: Watcher, parcel: Parcel) -> bytes:
    """The acknowledgement; while the first request is still running, again with the same key."""
    headers = {"Idempotency-Key": parcel.key, "Content-Type": "application/json"}
    for _ in range(AGAIN_MAX):
        response = await client.post(parcel.path, content=parcel.body, headers=headers)
        if response.status_code == 202:
            return response.content
        assert response.status_code == 409, response.text
        assert response.json()["code"] == "IDEMPOTENCY_IN_FLIGHT"
        assert "Retry-After" in response.headers
        await watcher.pause(PAUSE)
    pytest.fail("the first request never ended")
