"""The ground every fault is tried on: a whole mesh, a sales system in front of it, and eyes that look past it.

    async with open_ground() as ground:
        batch = await ground.draw(seed=3, count=12)
        await ground.submit(batch)
        faults = await ground.objections()

Open it to change what is traded while things go wrong, or what counts as having come to rest.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx

from libs.cli.config import Surroundings, surroundings
from libs.cli.demo.goods import DraftOrder, Goods, draw_goods
from libs.cli.demo.submission import Parcel, Submitter, canonical_parcel, native_parcel
from libs.cli.demo.vendors import Vendor, load_crm, load_crm_orders, load_erp
from libs.cli.demo.watch import Watcher
from libs.cli.keys import Bearer
from libs.cli.mesh import Mesh
from libs.cli.stores import Postgres
from libs.cli.supervisor import Kept, State
from libs.common.clock import SystemClock
from libs.common.ids import new_id
from libs.common.testing.ledger import Tables
from tests.faults.batch import Batch
from tests.faults.evidence import CRM, ERP, objections_of

TENANT = "acme"
IMPATIENCE = {"ORDERMESH_LEASE_SECONDS": "8", "ORDERMESH_INGEST_SECONDS": "1"}
"""What a dead process held is free again so soon, and feeds are read so often; else a run would mostly wait."""
COMPANIES, ARTICLES = 8, 16
PAUSE = timedelta(milliseconds=300)
CALLS_MAX = 32
REST_LIMIT = timedelta(seconds=90)
LINK_LIMIT = timedelta(seconds=40)
BACK_LIMIT = timedelta(seconds=40)
SHOWN_MAX = 3
CALM_SECONDS = 10.0


class NeverHappened(Exception):
    """Something that must happen by itself did not, in the time it had."""


@asynccontextmanager
async def open_ground() -> AsyncIterator["Ground"]:
    """A fresh mesh on a scratch directory, gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="ordermesh-faults-"))
    try:
        async with Mesh(folder, around=_impatient(surroundings())) as mesh, Ground(mesh) as ground:
            yield ground
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _impatient(around: Surroundings) -> Surroundings:
    return replace(around, inherited={**around.inherited, **IMPATIENCE})


class Ground:
    """A mesh that is ready, and everything that was handed to it so far."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.clock = SystemClock()
        self.batches: list[Batch] = []
        self.answers: Counter[int] = Counter()
        """Answers to submissions by HTTP status."""
        self.unadvised = 0
        """Answers 429 and 503 without Retry-After."""
        self._never = asyncio.Event()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> "Ground":
        self._plain = plain = await self._open.enter_async_context(httpx.AsyncClient(trust_env=False))
        urls = self.mesh.plan.simulator_urls
        self.erp, self.crm = Vendor(plain, urls[ERP]), Vendor(plain, urls[CRM])
        host = Postgres(self.mesh.data.root).url.partition("?host=")[2]
        self.tables = Tables(host)
        self.seller = await self._client(Bearer(TENANT, CRM, ("integration",), "sales"))
        self.seller.event_hooks = {"response": [self._note]}
        viewer = await self._client(Bearer(TENANT, "", ("support_viewer",), "faults"))
        self.watcher = Watcher(viewer, self.clock)
        await self._load(draw_goods(0, 1, companies=COMPANIES, articles=ARTICLES))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _client(self, bearer: Bearer) -> httpx.AsyncClient:
        return await self._open.enter_async_context(
            httpx.AsyncClient(
                base_url=self.mesh.base_url,
                headers={"Authorization": f"Bearer {self.mesh.token(bearer)}"},
                limits=httpx.Limits(max_connections=CALLS_MAX, max_keepalive_connections=CALLS_MAX),
                trust_env=False,
            )
        )

    async def _note(self, response: httpx.Response) -> None:
        self.answers[response.status_code] += 1
        if response.status_code in {429, 503} and "Retry-After" not in response.headers:
            self.unadvised += 1

    # Trade

    async def draw(self, seed: int, count: int) -> Batch:
        """Orders of this seed. Its customers and products are in both systems and linked, at the prices of the seed."""
        tag = new_id("run")[-8:]
        goods = draw_goods(seed, count + 1, tag, companies=COMPANIES, articles=ARTICLES)
        accounts = await self._load(goods)
        orders = [order for order in goods.orders if order is not goods.refused]
        natives = [order for order in orders if order.native]
        crm_ids = await load_crm_orders(self.crm, natives, self.clock.now().date())
        batch = Batch([await self._wrap(order, accounts, crm_ids) for order in orders])
        self.batches.append(batch)
        return batch

    async def _load(self, goods: Goods) -> dict[str, str]:
        """Customers and products at this seed's names and prices; the CRM's account by company key."""
        await load_erp(self.erp, goods.companies, goods.articles)
        accounts = await load_crm(self.crm, goods.companies, goods.articles)
        await self.until("customers and products are known", self._all_known, LINK_LIMIT)
        return accounts

    async def _all_known(self) -> bool:
        """Linked in both systems, and told to the order service."""
        wanted = {"customers": COMPANIES, "products": ARTICLES}
        linked = [await self.watcher.linked(kind, (ERP, CRM)) >= wanted[kind] for kind in wanted]
        return all(linked) and await self.tables.known_to_orders(CRM) == (COMPANIES, ARTICLES)

    async def _wrap(self, order: DraftOrder, accounts: dict[str, str], crm_ids: dict[str, str]) -> Parcel:
        if order.native:
            return native_parcel(order, CRM, await self.crm.callout(crm_ids[order.purchase_order]))
        return canonical_parcel(order, {"system": CRM, "externalId": accounts[order.company.key]})

    async def submit(self, batch: Batch, progress: Callable[[int], None] = lambda accepted: None) -> None:
        """Hands the orders in as a sales system does: again with the same key until each is acknowledged.

        progress: told the number of acknowledgements after each.
        """
        submitter = Submitter(self.seller, self.clock, progress)
        batch.tally = submitter.tally
        await submitter.submit_all(batch.parcels)

    async def advance(self, order_ids: Sequence[str]) -> None:
        """The ERP's people ship, bill and get paid what they have of these orders."""
        await self.erp.advance({"to": "paid", "orders": list(order_ids)})

    async def calm_vendors(self) -> None:
        """Switches every fault of both vendors off."""
        for url in (self.mesh.plan.simulator_urls[ERP], self.mesh.plan.simulator_urls[CRM]):
            (await self._plain.delete(f"{url}/_sim/faults", timeout=CALM_SECONDS)).raise_for_status()

    # Waiting

    async def pause(self) -> None:
        """Until the next look."""
        await self.clock.wait(self._never, PAUSE)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]], limit: timedelta) -> None:
        """Looks again and again. Raises NeverHappened."""
        deadline = self.clock.now() + limit
        while not await holds():
            if self.clock.now() >= deadline:
                raise NeverHappened(f"not within {limit.total_seconds():.0f} s: {what}")
            await self.pause()

    async def until_back(self, name: str, after: int) -> None:
        """Waits until a process that was started `after` times is started again and ready."""
        kept = self.process(name)
        back = await self.mesh.supervisor.until(
            lambda: kept.restarts > after and kept.state is State.READY, BACK_LIMIT
        )
        if not back:
            raise NeverHappened(f"{name} is not back within {BACK_LIMIT.total_seconds():.0f} s")

    def process(self, name: str) -> Kept:
        return self.mesh.supervisor.process(name)

    async def rest(self) -> None:
        """Waits until every order is paid and no machine has anything left to do. Nobody lends a hand meanwhile."""
        left: list[str] = []

        async def rests() -> bool:
            states = await self.tables.order_states()
            late = [order_id for order_id, state in states.items() if state != "PAID"]
            if late:
                await self.advance(late)
            left[:] = late or await self.tables.open_deliveries()
            return not left

        try:
            await self.until("everything is paid and at rest", rests, REST_LIMIT)
        except NeverHappened as error:
            waiting = await self.tables.open_deliveries()
            raise NeverHappened(f"{error}; left: {', '.join((left + waiting)[:SHOWN_MAX])}") from error

    async def objections(self) -> list[str]:
        """What ledgers and tables say against everything that happened so far, once it has come to rest.

        A change that a feed brings while the evidence is taken is no contradiction, so an objection must last.
        """
        deadline = self.clock.now() + REST_LIMIT
        while True:
            said = await self._objections_now()
            if not said or self.clock.now() >= deadline:
                return said
            await self.pause()

    async def _objections_now(self) -> list[str]:
        said = []
        try:
            await self.rest()
        except NeverHappened as error:
            said.append(str(error))
        return [*said, *await objections_of(self.batches, self.erp, self.crm, self.tables)]
