"""The gateway with recording backends behind it, and callers with tokens in front."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import uvicorn

from gateway.app import Gateway, build
from gateway.config import GatewaySettings
from gateway.serving import server_config
from libs.common.clock import Clock
from libs.common.config import Environment
from libs.common.identity import ROLES, KeyPair, mint, new_keys
from libs.common.topology import SERVICES, System, Topology
from tests.contract.test_gateway.backend import Backend

AN_ORDER: Mapping[str, object] = {
    "soldTo": {"external": {"system": "salesforce", "externalId": "001A"}},
    "currencyCode": "EUR",
    "lines": [
        {
            "sku": "BOLT-8",
            "quantity": {"value": "3"},
            "unitPrice": {"currencyCode": "EUR", "units": "2", "nanos": 500000000},
        }
    ],
}


@dataclass(slots=True)
class Mesh:
    """What a test holds in its hands."""

    gateway: Gateway
    settings: GatewaySettings
    backends: Mapping[str, Backend]
    http: httpx.AsyncClient
    keys: KeyPair

    @property
    def order(self) -> Backend:
        return self.backends["order"]

    def token(
        self,
        *roles: str,
        tenant: str = "acme",
        subject: str = "sf-integration",
        lifetime: timedelta = timedelta(hours=1),
    ) -> str:
        return mint(
            self.keys.private_jwk,
            settings=self.settings,
            subject=subject,
            tenant=tenant,
            system="salesforce",
            roles=tuple(role for role in roles or ("integration",) if role in ROLES),
            lifetime=lifetime,
        )

    def bearer(self, *roles: str, tenant: str = "acme", subject: str = "sf-integration") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*roles, tenant=tenant, subject=subject)}"}

    async def submit(self, order: object = AN_ORDER, **headers: str) -> httpx.Response:
        """`POST /v1/orders` as an integration; underscores in header names stand for dashes."""
        stated = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            "/v1/orders", json=order, headers={"Idempotency-Key": "key-1", **self.bearer(), **stated}
        )

    async def get(self, path: str, *roles: str, **headers: str) -> httpx.Response:
        stated = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get(path, headers={**self.bearer(*roles), **stated})

    async def post(self, path: str, body: object, *roles: str, **headers: str) -> httpx.Response:
        stated = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            path, json=body, headers={"Idempotency-Key": "key-1", **self.bearer(*roles), **stated}
        )

    async def send(self, body: bytes, **headers: str) -> httpx.Response:
        """`POST /v1/orders` with these bytes."""
        stated = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            "/v1/orders",
            content=body,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": "key-1",
                **self.bearer(),
                **stated,
            },
        )


@asynccontextmanager
async def running_mesh(
    folder: Path, *, clock: Clock | None = None, **settings: object
) -> AsyncIterator[Mesh]:
    """Four services and one connector, `netsuite`, which only tenant `acme` may speak to."""
    backends = {name: Backend(name) for name in (*SERVICES, "netsuite")}
    for backend in backends.values():
        await backend.start()
    keys = new_keys()
    jwks = folder / "jwks.json"
    jwks.write_text(keys.public_jwks)
    given = GatewaySettings.model_validate(
        {"jwks_file": jwks, "environment": Environment.DEVELOPMENT, "drain_seconds": 1.0, **settings}
    )
    topology = Topology(
        services={name: f"127.0.0.1:{backends[name].port}" for name in SERVICES},
        systems={
            "netsuite": System(
                role="erp",
                address=f"127.0.0.1:{backends['netsuite'].port}",
                tenants=("acme",),
                simulator="http://127.0.0.1:5301",
            )
        },
    )
    gateway = build(given, topology, clock=clock)
    transport = httpx.ASGITransport(app=gateway.app, raise_app_exceptions=True)
    async with gateway.lifespan(), httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield Mesh(gateway, given, backends, http, keys)
    for backend in backends.values():
        await backend.stop()


@asynccontextmanager
async def served(gateway: Gateway, settings: GatewaySettings) -> AsyncIterator[int]:
    """The gateway on a port of this machine; yields the port."""
    config = server_config(gateway, settings)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()
