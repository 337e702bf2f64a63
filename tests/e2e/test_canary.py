"""Personal values planted in everything that is handed in, while things fail, turn up nowhere but in the records."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from libs.cli.demo.goods import DraftOrder, draw_goods
from libs.cli.demo.submission import Parcel, canonical_parcel
from libs.cli.demo.vendors import Vendor, load_crm, load_erp
from libs.cli.demo.watch import Watcher, has_reached
from libs.cli.keys import Bearer
from libs.cli.mesh import Mesh
from libs.common.clock import SystemClock
from libs.common.ids import new_id, new_span_id, new_trace_id
from libs.common.testing.collector import Collector
from tests.e2e.canary import (
    ADDRESSEE,
    CANARIES,
    CARD,
    IBAN,
    MAIL,
    PHONE,
    REMARK,
    STREET,
    TOKEN,
    canaries_in,
    leaks,
    logged,
    measured,
    stored,
    traced,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("mesh"),
    pytest.mark.timeout(240),
    pytest.mark.slow,
]

NOT_KNOWN_YET = {"CUSTOMER_UNKNOWN", "PRODUCT_UNKNOWN"}
PAUSE = timedelta(milliseconds=300)
FAULTS = [
    {"kind": kind, "count": 2, "method": "POST", "path": "/salesOrder"}
    for kind in ("unavailable", "lose_reply", "throttle")
]


class Journey:
    """Everything that is handed in, and every answer that is no record."""

    def __init__(self, mesh: Mesh, plain: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
        self.mesh, self.plain, self.client = mesh, plain, client
        self.erp, self.crm = (
            Vendor(plain, mesh.plan.simulator_urls[name]) for name in ("netsuite", "salesforce")
        )
        self.watcher = Watcher(client, SystemClock())
        self.trace_id = new_trace_id()
        self.refused: list[tuple[str, bytes]] = []

    def headers(self, *roles: str) -> dict[str, str]:
        """A caller with these roles, whose trace is recorded."""
        return {
            "Authorization": f"Bearer {self.mesh.token(Bearer('acme', '', roles, 'jane'))}",
            "traceparent": f"00-{self.trace_id}-{new_span_id()}-01",
            "Content-Type": "application/json",
            "Idempotency-Key": new_id("key"),
        }

    async def parcels(self) -> tuple[Parcel, Parcel]:
        """An order that is taken and one that the ERP refuses, with planted values wherever one fits."""
        goods = draw_goods(11, 2, tag=new_id("run")[-6:], companies=8, articles=20)
        companies = [replace(each, email=MAIL, street=STREET) for each in goods.companies]
        await load_erp(self.erp, companies, goods.articles)
        await self.erp.seed({"customers": [{"externalId": each.key, "phone": PHONE} for each in companies]})
        accounts = await load_crm(self.crm, companies, goods.articles)
        for order in goods.orders:
            while not await self._is_known(order, accounts):
                await self.watcher.pause(PAUSE)
        taken = next(each for each in goods.orders if each is not goods.refused)
        return self._parcel(taken, accounts), self._parcel(goods.refused, accounts)

    async def _is_known(self, order: DraftOrder, accounts: Mapping[str, str]) -> bool:
        """Whether a submission of the order passes the door."""
        answer = await self.client.post(
            "/v1/orders?validateOnly=true",
            content=self._parcel(order, accounts).body,
            headers=self.headers("integration"),
        )
        assert answer.is_success or answer.json()["code"] in NOT_KNOWN_YET, answer.text
        return answer.is_success

    def _parcel(self, order: DraftOrder, accounts: Mapping[str, str]) -> Parcel:
        sold_to = {"system": "salesforce", "externalId": accounts[order.company.key]}
        parcel = canonical_parcel(order, sold_to)
        body = json.loads(parcel.body)
        body["memo"] = REMARK
        body["shipTo"] = {
            "addressee": ADDRESSEE,
            "lines": [STREET, CARD, IBAN],
            "locality": order.company.city,
            "postalCode": order.company.postal_code,
            "countryCode": order.company.country,
        }
        return replace(parcel, body=json.dumps(body).encode())

    async def submit(self, parcel: Parcel) -> str:
        headers = self.headers("integration") | {"Idempotency-Key": parcel.key}
        answer = await self.client.post(parcel.path, content=parcel.body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["orderId"])

    async def provoke(self, parcel: Parcel) -> None:
        """Requests that are refused, each with planted values where it is wrong."""
        good = json.loads(parcel.body)
        line = good["lines"][0]
        wrong: Sequence[object] = (
            {**good, "currencyCode": MAIL},
            {**good, "purchaseOrderNumber": REMARK * 3},
            {**good, MAIL: "a field that does not exist", "street": STREET},
            {**good, "lines": [{**line, "sku": CARD}]},
            {**good, "lines": [{**line, "quantity": {"value": STREET}}]},
            {**good, "lines": [{**line, "quantity": STREET}]},
            {**good, "total": {"currencyCode": "EUR", "units": CARD, "nanos": IBAN}},
            {**good, "soldTo": {"external": {"system": "salesforce", "externalId": PHONE}}},
            {**good, "shipTo": {"addressee": ADDRESSEE * 30, "lines": [STREET] * 9, "countryCode": IBAN}},
            {**good, "requestedDate": ADDRESSEE},
            [STREET, MAIL],
        )
        for body in wrong:
            await self._refused("POST", "/v1/orders", content=json.dumps(body))
        for text in (f'{{"memo": "{STREET}', f'{{"memo": {STREET}}}', f"{STREET} {MAIL}"):
            await self._refused("POST", "/v1/orders", content=text)
        used = {"Idempotency-Key": parcel.key}
        await self._refused("POST", "/v1/orders", content=json.dumps({**good, "memo": MAIL}), headers=used)
        await self._refused("POST", "/v1/systems/salesforce/inbound", content=json.dumps({"Email": MAIL}))
        await self._refused("GET", f'/v1/orders?filter=email = "{MAIL}" AND phone = {CARD}')
        await self._refused("GET", f"/v1/customers/{MAIL}")
        await self._refused("GET", "/v1/orders", headers={"Authorization": f"Bearer {TOKEN}"})

    async def _refused(
        self, method: str, path: str, *, content: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        sent = self.headers("integration", "support_viewer") | dict(headers or {})
        answer = await self.client.request(method, path, content=content, headers=sent)
        assert answer.status_code >= 400, f"{method} {path}: {answer.status_code} for {content}"
        self.refused.append((f"{method} {path} for {content}", answer.content))

    async def told_refusals(self) -> AsyncIterator[tuple[str, bytes]]:
        for each in self.refused:
            yield each

    async def told_operators(self, order_ids: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
        """What people with every role see of failures, without a reveal."""
        roles = ("support_viewer", "support_operator", "steward", "approver", "auditor", "integration")
        listed = await self._get("/v1/exceptions?pageSize=1000", *roles)
        yield "the exception queue", listed
        for item in json.loads(listed)["exceptions"]:
            place = f"/v1/exceptions/{item['deliveryId']}"
            yield place, await self._get(place, *roles)
        for order_id in order_ids:
            for more in ("lineage", "effects"):
                place = f"/v1/orders/{order_id}/{more}"
                yield place, await self._get(place, *roles)

    async def _get(self, path: str, *roles: str) -> bytes:
        answer = await self.client.get(path, headers=self.headers(*roles))
        assert answer.is_success, answer.text
        return answer.content

    async def exchanges(self, order_id: str) -> AsyncIterator[bytes]:
        """What went over the wire for an order, as a steward may see it."""
        lineage = json.loads(await self._get(f"/v1/orders/{order_id}/lineage", "auditor"))
        for attempt in lineage["attempts"]:
            if attempt.get("requestDigest"):
                yield (await self.reveal(attempt["deliveryId"], attempt["number"])).content

    async def reveal(self, item: str, attempt: int) -> httpx.Response:
        return await self.client.post(
            f"/v1/exceptions/{item}:reveal",
            json={"reason": "a test", "attempt": attempt},
            headers=self.headers("steward"),
        )


async def test_planted_values_turn_up_nowhere_but_in_the_records(mesh: Mesh, collector: Collector) -> None:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as plain,
        httpx.AsyncClient(
            base_url=mesh.base_url,
            headers={
                "Authorization": f"Bearer {mesh.token(Bearer('acme', '', ('integration', 'support_viewer')))}"
            },
            trust_env=False,
            timeout=60,
        ) as client,
    ):
        journey = Journey(mesh, plain, client)
        taken, refused = await journey.parcels()
        await journey.erp.arm(FAULTS)
        order_ids = [await journey.submit(taken), await journey.submit(refused)]
        await journey.provoke(taken)
        while not has_reached((await journey.watcher.orders()).get(order_ids[0]), "POSTED"):
            await journey.watcher.pause(PAUSE)
        while (parked := await journey.watcher.parked(order_ids[1])) is None:
            await journey.watcher.pause(PAUSE)
        revealed = await journey.reveal(parked.delivery_id, 0)
        assert set(canaries_in(revealed.content)) == set(CANARIES) - {TOKEN}, revealed.text
        sent = [content async for content in journey.exchanges(order_ids[0])]
        assert any(STREET in canaries_in(content) for content in sent), "what was sent lies sealed"
        while not any(bytes.fromhex(journey.trace_id) in body for body in collector.bodies):
            await journey.watcher.pause(PAUSE)

        found, looked = await leaks(
            journey.told_refusals(),
            journey.told_operators(order_ids),
            logged(mesh),
            traced(collector),
            measured(mesh, plain),
            stored(mesh),
        )

        assert found == [], "\n".join(found)
        assert looked > 1000, "there was something to look at"
