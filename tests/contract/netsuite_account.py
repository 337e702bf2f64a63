"""A simulated NetSuite account and a logged-in client of it, for the tests of the simulator."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from connectors.kit.simulator import Simulator, serving
from connectors.netsuite.simulator.app import build

RECORD = "/services/rest/record/v1"
SUITEQL = "/services/rest/query/v1/suiteql"
TOKEN = "/services/rest/auth/oauth2/v1/token"
KEY = ECKey.generate_key("P-256")
TLS = ssl.create_default_context()
"""Made once: a client makes one of its own otherwise, which takes longer than most tests here."""
STRICT = {"X-NetSuite-PropertyNameValidation": "Error"}

MASTER_DATA = {
    "customers": [
        {
            "externalId": "CUST-77",
            "companyName": "Bergen Bruk",
            "currency": "EUR",
            "creditLimit": "1000",
            "terms": "Net 30",
            "email": "invoices@bergen.example",
            "shipTo": {
                "addressee": "Bergen Bruk",
                "addr1": "Bryggen 1",
                "city": "Bergen",
                "zip": "5003",
                "country": "NO",
            },
        },
        {"externalId": "CUST-GONE", "companyName": "Closed Ltd", "currency": "EUR", "inactive": True},
    ],
    "items": [
        {
            "itemId": "SKU-1",
            "displayName": "Widget",
            "unit": "EA",
            "prices": {"EUR": "12.50"},
            "quantityAvailable": 100,
        },
        {
            "itemId": "SKU-2",
            "displayName": "Gadget",
            "unit": "EA",
            "prices": {"EUR": "0.10"},
            "quantityAvailable": 3,
        },
        {"itemId": "HELP", "displayName": "Help", "type": "nonInventorySaleItem", "prices": {"EUR": 80}},
    ],
    "taxCodes": [{"code": "S25", "rate": "25"}],
}


class NetSuite:
    """A logged-in client of one simulated account, and the switches beside it."""

    def __init__(self, http: httpx.AsyncClient, ids: dict[str, dict[str, str]]) -> None:
        self.http = http
        self.ids = ids

    def order(self, *lines: dict[str, object], **header: object) -> dict[str, object]:
        """An order body; without lines four widgets at 12.50 with 25 % tax."""
        default = self.line("SKU-1", 4, rate=12.5, taxCode={"externalId": "S25"})
        return {"entity": {"externalId": "CUST-77"}, "item": {"items": list(lines) or [default]}, **header}

    def line(self, sku: str, quantity: float, **more: object) -> dict[str, object]:
        return {"item": {"id": self.ids["items"][sku]}, "quantity": quantity, **more}

    async def put(self, key: str, body: dict[str, object] | None = None, **headers: str) -> httpx.Response:
        url = f"{RECORD}/salesOrder/eid:{key}?replace=item"
        return await self.http.put(url, json=body or self.order(), headers=headers)

    async def get(self, path: str, **query: str) -> dict[str, object]:
        answer = await self.http.get(RECORD + path, params=query)
        assert answer.status_code == 200, answer.text
        return cast(dict[str, object], answer.json())

    async def lines(self, key: str) -> list[dict[str, object]]:
        order = await self.get(f"/salesOrder/eid:{key}", expandSubResources="true")
        return cast(list[dict[str, object]], cast(dict[str, object], order["item"])["items"])

    async def status(self, key: str) -> object:
        order = await self.get(f"/salesOrder/eid:{key}", simpleEnumFormat="true", fields="status")
        return order["status"]

    async def ask(self, query: str, *params: str, limit: int = 1000, offset: int = 0) -> httpx.Response:
        url = f"{SUITEQL}?limit={limit}&offset={offset}"
        return await self.http.post(url, json={"q": query, "params": params}, headers={"Prefer": "transient"})

    async def rows(self, query: str, *params: str) -> list[dict[str, str]]:
        answer = await self.ask(query, *params)
        assert answer.status_code == 200, answer.text
        return [{k: v for k, v in row.items() if k != "links"} for row in answer.json()["items"]]

    async def fault(self, **fault: object) -> None:
        answer = await self.http.post("/_sim/faults", json=fault)
        assert answer.status_code == 201, answer.text

    async def advance(self, to: str, *orders: str) -> dict[str, object]:
        answer = await self.http.post("/_sim/advance", json={"to": to, "orders": orders})
        assert answer.status_code == 200, answer.text
        return cast(dict[str, object], answer.json())

    async def ledger(self, **query: str) -> dict[str, object]:
        return cast(dict[str, object], (await self.http.get("/_sim/ledger", params=query)).json())

    async def documents(self, kind: str) -> list[dict[str, object]]:
        return cast(list[dict[str, object]], (await self.ledger(kind=kind))["documents"])


def assertion(url: str, *, key: ECKey | RSAKey = KEY, alg: str = "ES256", **claims: object) -> str:
    now = int(time.time())
    usual = {"iss": "client", "scope": ["rest_webservices"], "aud": url + TOKEN, "iat": now, "exp": now + 300}
    return jwt.encode({"alg": alg, "kid": "cert", "typ": "JWT"}, usual | claims, key, algorithms=[alg])


async def ask_for_token(http: httpx.AsyncClient, signed: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
    }
    return await http.post(TOKEN, data=form)


async def log_in(http: httpx.AsyncClient) -> None:
    answer = await ask_for_token(http, assertion(str(http.base_url).rstrip("/")))
    assert answer.json()["token_type"].lower() == "bearer"
    http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


@asynccontextmanager
async def account(simulator: Simulator | None = None) -> AsyncIterator[NetSuite]:
    limits = httpx.Limits(max_connections=50)
    async with (
        serving(simulator or build()) as url,
        httpx.AsyncClient(verify=TLS, base_url=url, limits=limits, timeout=10) as http,
    ):
        seeded = await http.post("/_sim/seed", json=MASTER_DATA)
        assert seeded.status_code == 200, seeded.text
        await log_in(http)
        yield NetSuite(http, seeded.json())


def code(answer: httpx.Response) -> str:
    return cast(str, answer.json()["o:errorDetails"][0]["o:errorCode"])


def path(answer: httpx.Response) -> str:
    return cast(str, answer.json()["o:errorDetails"][0]["o:errorPath"])
