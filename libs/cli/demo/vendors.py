"""The two simulators as their operators see them: seeding, faults, shipping and paying, and the ledgers.

Open it for the bodies of `/_sim`. Nothing here goes through the mesh.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from libs.cli.demo.goods import CREDIT_LIMIT, STOCK, TAX_RATES, Article, Company, DraftOrder

CALL_SECONDS = 30.0
Body = Mapping[str, object]


class LedgerDocument(BaseModel):
    """One document of a ledger, with the facts the proof needs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str
    id: str
    external_id: str | None = Field(default=None, alias="externalId")
    created: datetime = Field(alias="createdAt")
    reference: str = ""
    """The buyer's number on an ERP order."""
    order_id: str | None = Field(default=None, alias="Ordermesh_Order_Id__c")
    erp_status: str | None = Field(default=None, alias="ERP_Status__c")
    history: Sequence[str] = ()
    """Every status the sales system was told, oldest first."""


class Traffic(BaseModel):
    """Requests the vendor has seen since its process started."""

    total: int = 0
    dropped: int = 0
    by_status: Mapping[str, int] = Field(default_factory=dict, alias="byStatus")


class Ledger(BaseModel):
    """What the vendor holds."""

    model_config = ConfigDict(extra="ignore")

    counts: Mapping[str, int]
    documents: Sequence[LedgerDocument]
    requests: Traffic
    concurrency_max: int = Field(alias="concurrencyMax")


class _Armed(BaseModel):
    kind: str
    hits: int


class _Faults(BaseModel):
    faults: Sequence[_Armed]


class _SeededAccount(BaseModel):
    Id: str
    ERP_Key__c: str


class _SeededOrder(BaseModel):
    Id: str
    PoNumber: str


class _Seeded(BaseModel):
    accounts: Sequence[_SeededAccount] = ()
    orders: Sequence[_SeededOrder] = ()


class Vendor:
    """One simulator."""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client = client
        self._base_url = base_url

    async def ledger(self, kind: str = "") -> Ledger:
        """kind: documents of this kind only; the counts are of all."""
        params = {"kind": kind} if kind else {}
        return Ledger.model_validate_json(await self._send("GET", "ledger", params=params))

    async def count(self, kind: str) -> int:
        """Documents of one kind, without fetching them."""
        return (await self.ledger("none")).counts.get(kind, 0)

    async def arm(self, faults: Sequence[Body]) -> None:
        await self._send("POST", "faults", body=list(faults))

    async def hits(self) -> dict[str, int]:
        """How often each kind of fault struck."""
        told = _Faults.model_validate_json(await self._send("GET", "faults"))
        hits: dict[str, int] = {}
        for fault in told.faults:
            hits[fault.kind] = hits.get(fault.kind, 0) + fault.hits
        return hits

    async def advance(self, body: Body) -> None:
        await self._send("POST", "advance", body=body)

    async def seed(self, body: Body) -> bytes:
        return await self._send("POST", "seed", body=body)

    async def callout(self, order_id: str) -> bytes:
        """What an Apex callout would send for this Salesforce order."""
        return await self._send("GET", f"callout/order/{order_id}")

    async def _send(
        self, method: str, path: str, *, body: object = None, params: Mapping[str, str] | None = None
    ) -> bytes:
        response = await self._client.request(
            method, f"{self._base_url}/_sim/{path}", json=body, params=params, timeout=CALL_SECONDS
        )
        if response.is_error:
            raise VendorRefused(f"{method} /_sim/{path}: {response.status_code} {response.text[:300]}")
        return response.content


class VendorRefused(Exception):
    """A simulator did not do what its operator asked."""


async def load_erp(erp: Vendor, companies: Sequence[Company], articles: Sequence[Article]) -> None:
    """Customers, items, prices, stock and tax codes, as the ERP's people would have entered them."""
    await erp.seed(
        {
            "taxCodes": [{"code": code, "rate": str(rate)} for code, rate in TAX_RATES.values()],
            "customers": [_erp_customer(company) for company in companies],
            "items": [_erp_item(article) for article in articles],
        }
    )


async def load_crm(crm: Vendor, companies: Sequence[Company], articles: Sequence[Article]) -> dict[str, str]:
    """Their twins in the sales system; gives the account's id by company key."""
    answer = await crm.seed(
        {
            "accounts": [_crm_account(company) for company in companies],
            "products": [_crm_product(article) for article in articles],
        }
    )
    accounts = _Seeded.model_validate_json(answer).accounts
    return {account.ERP_Key__c: account.Id for account in accounts}


async def load_crm_orders(crm: Vendor, orders: Sequence[DraftOrder], today: date) -> dict[str, str]:
    """Activated orders in the sales system; gives the order's id by purchase order number."""
    answer = await crm.seed({"orders": [_crm_order(order, today) for order in orders]})
    return {order.PoNumber: order.Id for order in _Seeded.model_validate_json(answer).orders}


def _erp_customer(company: Company) -> Body:
    address = {
        "addressee": company.name,
        "addr1": company.street,
        "city": company.city,
        "state": company.region,
        "zip": company.postal_code,
        "country": company.country,
    }
    return {
        "externalId": company.key,
        "entityId": company.key,
        "companyName": company.name,
        "currency": company.currency,
        "terms": "Net 30",
        "creditLimit": str(CREDIT_LIMIT),
        "email": company.email,
        "billTo": address,
        "shipTo": address,
    }


def _erp_item(article: Article) -> Body:
    return {
        "itemId": article.sku,
        "externalId": article.sku,
        "displayName": article.name,
        "description": article.name,
        "unit": article.unit,
        "prices": {currency: str(price) for currency, price in article.prices.items()},
        "quantityAvailable": str(STOCK),
    }


def _crm_account(company: Company) -> Body:
    return {
        "Name": company.name,
        "AccountNumber": company.key,
        "ERP_Key__c": company.key,
        "CurrencyIsoCode": company.currency,
        "BillingCity": company.city,
        "BillingStreet": company.street,
        "BillingPostalCode": company.postal_code,
    }


def _crm_product(article: Article) -> Body:
    return {
        "Name": article.name,
        "ProductCode": article.sku,
        "StockKeepingUnit": article.sku,
        "ERP_Key__c": article.sku,
        "prices": {currency: str(price) for currency, price in article.prices.items()},
    }


def _crm_order(order: DraftOrder, today: date) -> Body:
    return {
        "AccountErpKey": order.company.key,
        "OrderReferenceNumber": order.purchase_order,
        "PoNumber": order.purchase_order,
        "EffectiveDate": today.isoformat(),
        "CurrencyIsoCode": order.company.currency,
        "activate": True,
        "lines": [
            {
                "ProductCode": line.article.sku,
                "Quantity": _number(line.quantity),
                "UnitPrice": _number(line.unit_price),
                "TaxCode__c": line.tax_code,
            }
            for line in order.lines
        ],
    }


def _number(value: Decimal) -> str:
    return format(value, "f")
