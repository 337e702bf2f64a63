"""Who is where. Open this file to learn how a process finds services, outside systems and an order's ERP.

[services]
customer = "127.0.0.1:5101"          # unnamed ones are dns:///<name>:50051

[systems.netsuite]
role = "erp"                         # or "crm"
address = "127.0.0.1:5201"           # of its connector
tenants = ["acme"]                   # who may speak to it; "*" is everybody
simulator = "http://127.0.0.1:5301"  # optional

[[routing]]                          # the first match wins, "*" matches everything
tenant = "*"
region = "*"
business_unit = "*"
erp = "netsuite"
crm = "salesforce"
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.common.errors import Refused

ANY = "*"
SERVICES = ("customer", "product", "order", "invoice")


class TopologyInvalid(ValueError):
    """The file cannot be used; the message names the place. Raised at start only."""


class System(BaseModel):
    """One outside system."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["erp", "crm"]
    address: str
    """gRPC target of its connector."""
    tenants: tuple[str, ...]
    simulator: str = ""
    """Address of its simulator, where it is one. Empty otherwise."""

    def serves(self, tenant: str) -> bool:
        return tenant in self.tenants or ANY in self.tenants


class Route(BaseModel):
    """Where the orders of a tenant, region and business unit go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = ANY
    region: str = ANY
    business_unit: str = ANY
    erp: str
    crm: str

    def covers(self, tenant: str, region: str, business_unit: str) -> bool:
        wanted = ((self.tenant, tenant), (self.region, region), (self.business_unit, business_unit))
        return all(rule in (ANY, value) for rule, value in wanted)


class Topology(BaseModel):
    """All of it, checked when loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    services: Mapping[str, str] = Field(default_factory=dict)
    systems: Mapping[str, System] = Field(default_factory=dict)
    routing: Sequence[Route] = ()

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Raises TopologyInvalid. Without a path: services under their DNS names and no systems."""
        if path is None:
            return cls()
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise TopologyInvalid(f"{path}: {error}") from error

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        unknown = set(self.services) - set(SERVICES)
        if unknown:
            raise ValueError(f"services has unknown names: {', '.join(sorted(unknown))}")
        for number, route in enumerate(self.routing):
            for role, name in (("erp", route.erp), ("crm", route.crm)):
                if name not in self.systems or self.systems[name].role != role:
                    raise ValueError(f"routing[{number}].{role}: `{name}` is no system of that role")
        return self

    @property
    def tenants(self) -> frozenset[str]:
        """Those that systems name."""
        return frozenset(name for system in self.systems.values() for name in system.tenants) - {ANY}

    def service_target(self, service: str) -> str:
        """gRPC target of `customer`, `product`, `order` or `invoice`."""
        assert service in SERVICES, service
        return self.services.get(service, f"dns:///{service}:50051")

    def system(self, name: str, tenant: str) -> System:
        """A system the tenant may speak to. Refused SYSTEM_UNKNOWN, the same for absent and for foreign."""
        system = self.systems.get(name)
        if system is None or not system.serves(tenant):
            raise Refused("SYSTEM_UNKNOWN", f"there is no system `{name}` for this tenant")
        return system

    def systems_of(self, tenant: str) -> Mapping[str, System]:
        """Systems the tenant may speak to, by name."""
        return {name: system for name, system in self.systems.items() if system.serves(tenant)}

    def route(self, tenant: str, region: str, business_unit: str) -> Route:
        """First rule that covers the three.

        Refused ROUTE_NOT_CONFIGURED when there is none, or when its systems do not serve the tenant.
        """
        for route in self.routing:
            if not route.covers(tenant, region, business_unit):
                continue
            if self.systems[route.erp].serves(tenant) and self.systems[route.crm].serves(tenant):
                return route
            break
        raise Refused(
            "ROUTE_NOT_CONFIGURED",
            f"no rule for region `{region}` and business unit `{business_unit}`",
            metadata={"region": region, "business_unit": business_unit},
        )
