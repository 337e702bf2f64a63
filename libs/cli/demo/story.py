"""What happens in the demo, in order. Open it to read the main job from the outside.

load → arm faults → submit → mend the refused one → all in the ERP → ship → invoice → pay → read the
ledgers
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import httpx

from libs.cli.api import trusted
from libs.cli.demo.faults import CRM, ERP, Trouble, Wish
from libs.cli.demo.goods import TAX_RATES, DraftOrder, Goods
from libs.cli.demo.proof import CRM_KIND, ERP_KIND, Verdict, judge
from libs.cli.demo.stage import Stage
from libs.cli.demo.submission import CONCURRENCY, Parcel, Submitter, Tally, canonical_parcel, native_parcel
from libs.cli.demo.vendors import Ledger, Vendor, load_crm, load_crm_orders, load_erp
from libs.cli.demo.watch import Lineage, Parked, SeenOrder, Watcher, has_reached
from libs.cli.keys import Bearer
from libs.cli.mesh import Mesh
from libs.common.clock import Clock, SystemClock

TENANT = "acme"
CALLOUTS_AT_A_TIME = 8

STEPS = (("shipped", "SHIPPED"), ("invoiced", "INVOICED"), ("paid", "PAID"))
"""What the ERP's people do, and the state that every order must then reach."""


@dataclass
class Outcome:
    """What came of it, as far as it came."""

    tally: Tally = field(default_factory=Tally)
    parked: Parked | None = None
    verdict: Verdict | None = None
    erp: Ledger | None = None
    crm: Ledger | None = None
    lineages: list[Lineage] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)
    """Restarts of every process that was started again."""

    @property
    def ids(self) -> list[str]:
        return [acceptance.order_id for acceptance in self.tally.accepted]


class Story:
    """One run of the demo on a mesh that is ready. Use it with `async with`."""

    def __init__(
        self, mesh: Mesh, wish: Wish, goods: Goods, stage: Stage, clock: Clock | None = None
    ) -> None:
        self._mesh, self._wish, self._goods, self._stage = mesh, wish, goods, stage
        self._clock = clock or SystemClock()
        self._open = AsyncExitStack()
        self._older: frozenset[str] = frozenset()
        self.outcome = Outcome()

    async def __aenter__(self) -> Self:
        plain = await self._open.enter_async_context(httpx.AsyncClient(trust_env=False))
        simulators = self._mesh.plan.simulator_urls
        self.erp, self.crm = Vendor(plain, simulators[ERP]), Vendor(plain, simulators[CRM])
        self.trouble = Trouble(self._mesh, self._wish, (self.erp, self.crm), self._stage, self._clock)
        self._seller = await self._client(Bearer(TENANT, CRM, ("integration",), "sales"))
        operator = Bearer(TENANT, "", ("support_operator", "support_viewer", "auditor"), "demo-operator")
        self.watcher = Watcher(await self._client(operator), self._clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.trouble.end()
        await self._open.aclose()

    async def run(self) -> None:
        """The whole story; what it learns is in `outcome`, also when it is cut short."""
        stage = self._stage
        with stage.phase("customers, products and their twins are in"):
            accounts = await self._load()
        parcels = await self._wrap(accounts)
        await self.trouble.arm()
        with stage.phase(f"{len(parcels)} orders are acknowledged"):
            await self._submit(parcels)
        with stage.phase("the refused order was mended and replayed"):
            await self._mend()
        with stage.phase("every order is in the ERP"):
            await self._until_all("POSTED", "in the ERP")
        for step, state in STEPS:
            with stage.phase(f"every order reads {state}"):
                await self._advance(step)
                await self._until_all(state, state.lower())
        with stage.phase("the ledgers agree"):
            await self._until_proved()
        await self.collect()

    async def collect(self) -> None:
        """Reads ledgers, faults and lineages for the report; also after a failure."""
        await self.prove()
        self.outcome.hits = await self.trouble.hits()
        self.outcome.lineages = await self.watcher.lineages(self.outcome.ids)
        self.outcome.killed = {kept.name: kept.restarts for kept in self._mesh.processes if kept.restarts}

    async def reasons(self, limit: int) -> list[str]:
        """One line for each of the first `limit` orders that are not paid.

        State, standstill or last attempt.
        """
        seen = await self.watcher.orders()
        late = [name for name in self.outcome.ids if not has_reached(seen.get(name), "PAID")]
        lines = [f"{len(late)} of {len(self.outcome.ids)} acknowledged orders are not paid"] if late else []
        return lines + [await self._reason(order_id, seen.get(order_id)) for order_id in late[:limit]]

    async def _reason(self, order_id: str, order: SeenOrder | None) -> str:
        if order is None:
            return f"{order_id}: the mesh does not know it"
        if order.standstill is not None:
            stop = order.standstill
            return f"{order_id} {order.state_name}: {stop.reason}, owner {plain(stop.owner)}: {stop.detail}"
        (lineage,) = await self.watcher.lineages([order_id])
        waiting = [
            each
            for each in lineage.deliveries
            if each.target != "stream" and not each.state.endswith("_DELIVERED")
        ]
        told = ", ".join(f"{each.target} {each.state.removeprefix('DELIVERY_STATE_')}" for each in waiting)
        failed = [each for each in lineage.attempts if each.reason]
        tried = f"; last failure {failed[-1].reason}, {failed[-1].outcome}" if failed else ""
        return f"{order_id} {order.state_name}: waits for {told or 'the ERP'}{tried}"

    async def prove(self) -> Verdict:
        """The verdict of the two ledgers, now."""
        outcome = self.outcome
        outcome.erp = await self.trouble.outlived(lambda: self.erp.ledger(ERP_KIND))
        outcome.crm = await self.trouble.outlived(lambda: self.crm.ledger(CRM_KIND))
        known = {accepted.order.purchase_order: accepted.order_id for accepted in outcome.tally.accepted}
        ours = [document for document in outcome.erp.documents if document.id not in self._older]
        outcome.verdict = judge(known, len(self._goods.orders), ours, outcome.crm.documents)
        return outcome.verdict

    # The chapters

    async def _load(self) -> dict[str, str]:
        goods = self._goods
        self._older = frozenset(document.id for document in (await self.erp.ledger(ERP_KIND)).documents)
        await load_erp(self.erp, goods.companies, goods.articles)
        accounts = await load_crm(self.crm, goods.companies, goods.articles)
        for kind, wanted in (("customers", len(goods.companies)), ("products", len(goods.articles))):
            await self._until_linked(kind, wanted)
        await self._until_told()
        return accounts

    async def _until_told(self) -> None:
        """The order service checks against copies of its own; it has been told once nothing waits for it."""
        while waiting := await self.watcher.waiting_for("service:order"):
            self._stage.show("changes that orders are still to hear of", waiting, waiting)
            await self.watcher.pause()

    async def _until_linked(self, kind: str, wanted: int) -> None:
        while True:
            linked = await self.watcher.linked(kind, (ERP, CRM))
            self._stage.show(f"{kind} linked", linked, wanted)
            if linked >= wanted:
                return
            await self.watcher.pause()

    async def _wrap(self, accounts: dict[str, str]) -> list[Parcel]:
        """Every order as the request that hands it in."""
        natives = [order for order in self._goods.orders if order.native]
        crm_ids = await load_crm_orders(self.crm, natives, self._clock.now().date())
        slots = asyncio.Semaphore(CALLOUTS_AT_A_TIME)

        async def wrap(order: DraftOrder) -> Parcel:
            if not order.native:
                sold_to = {"system": CRM, "externalId": accounts[order.company.key]}
                return canonical_parcel(order, sold_to)
            async with slots:
                return native_parcel(order, CRM, await self.crm.callout(crm_ids[order.purchase_order]))

        return list(await asyncio.gather(*(wrap(order) for order in self._goods.orders)))

    async def _submit(self, parcels: list[Parcel]) -> None:
        def progress(accepted: int) -> None:
            self._stage.show("orders acknowledged", accepted, len(parcels))
            self.trouble.disturb(accepted, len(parcels))

        submitter = Submitter(self._seller, self._clock, progress)
        self.outcome.tally = submitter.tally
        await submitter.submit_all(parcels)

    async def _mend(self) -> None:
        """Shows the order that the ERP refuses, corrects it and replays the delivery."""
        refused = self._goods.refused
        order_id = next(
            each.order_id for each in self.outcome.tally.accepted if each.order.number == refused.number
        )
        while (parked := await self.watcher.parked(order_id)) is None:
            await self.watcher.pause()
        self.outcome.parked = parked
        self._stage.say(
            f"parked: {order_id} at {parked.target}: {parked.reason}, {plain(parked.failure_class)}, "
            f"owner {plain(parked.owner)}: {parked.detail} {parked.pointer}".rstrip(),
            style="yellow",
        )
        tax_code = TAX_RATES[refused.company.currency][0]
        correction = {"lines": [{"lineNumber": 1, "taxCode": tax_code}], "reason": "tax code was mistyped"}
        await self.watcher.post(f"/v1/orders/{order_id}:correct", correction)
        replay = {"reason": "tax code corrected"}
        await self.watcher.post(f"/v1/exceptions/{parked.delivery_id}:replay", replay)

    async def _advance(self, step: str) -> None:
        await self.trouble.outlived(lambda: self.erp.advance({"to": step, "all": True}))

    async def _until_all(self, state: str, what: str) -> None:
        ids = self.outcome.ids
        while True:
            seen = await self.watcher.orders()
            reached = sum(has_reached(seen.get(order_id), state) for order_id in ids)
            self._stage.show(what, reached, len(ids))
            if reached == len(ids):
                return
            await self.watcher.pause()

    async def _until_proved(self) -> None:
        while True:
            verdict = await self.prove()
            self._stage.show("paid in Salesforce", verdict.paid, verdict.orders)
            if verdict.holds:
                return
            await self.watcher.pause()

    # Reaching the other side

    async def _client(self, bearer: Bearer) -> httpx.AsyncClient:
        token = self._mesh.token(bearer)
        return await self._open.enter_async_context(
            httpx.AsyncClient(
                base_url=self._mesh.base_url,
                headers={"Authorization": f"Bearer {token}"},
                limits=httpx.Limits(
                    max_connections=2 * CONCURRENCY, max_keepalive_connections=2 * CONCURRENCY
                ),
                trust_env=False,
                verify=trusted(self._mesh.ca_file),
            )
        )


def plain(name: str) -> str:
    """`OWNER_TEAM_FINANCE` and `FAILURE_CLASS_BUSINESS` as words."""
    plain = name.removeprefix("OWNER_TEAM_").removeprefix("FAILURE_CLASS_")
    return plain.lower().replace("_", "-")
