"""Composition root of the gateway. Open this file to see what it is made of; fakes come in as arguments.

edge ─┬─ table: routes of the contracts, systems, inbound   (a caller is needed)
      └─ pages: health, documents, explanations             (open to everybody)
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache

from gateway import inbound, ownership, systems
from gateway.auth import Admission
from gateway.calls import Calls, place_of
from gateway.coalesce import Coalesced
from gateway.config import GatewaySettings
from gateway.edge import Edge
from gateway.exchange import Answer
from gateway.forward import Backends, Forward
from gateway.health import Readiness
from gateway.inbound import Inbound
from gateway.lanes import Load
from gateway.lifecycle import announced
from gateway.openapi import documents
from gateway.operations import Operations
from gateway.pages import pages
from gateway.problems import NOWHERE
from gateway.rates import Rates
from gateway.routes import Route, RouteTable, Template
from gateway.rules import Rule, public_rules
from gateway.submission import Submissions
from gateway.systems import Systems
from gateway.transcode import Transcoder
from libs.common.clock import Clock, SystemClock
from libs.common.identity import ROLES, Verifier
from libs.common.metrics.serving import serving_metrics
from libs.common.ratelimit import RateLimiter
from libs.common.rpc.contract import SUBMISSION
from libs.common.topology import Topology

OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The application and what a server must tell it."""

    app: Edge
    load: Load
    lifespan: Callable[[], AbstractAsyncContextManager[None]]
    """Open while the application serves; a server enters it through ASGI."""


def build(
    settings: GatewaySettings,
    topology: Topology,
    *,
    clock: Clock | None = None,
    forward: Forward | None = None,
) -> Gateway:
    """forward: how requests reach backends; gRPC calls to the topology's addresses unless given."""
    backends = Backends(topology, settings)
    readiness = Readiness(topology, settings)
    load = Load(settings.places)
    rates = Rates(settings.quotas, RateLimiter(_redis_url(settings)), clock or SystemClock())
    sending = forward or _sending(backends, settings)
    calls = Calls(sending, Transcoder(settings.limits), settings.limits)
    rules = tuple(public_rules())
    submissions = _submissions(rules, calls)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with serving_metrics(settings, "gateway", load.tell):
            yield
        await backends.close()
        await readiness.close()
        await rates.close()

    table = RouteTable(
        [
            *_contract_routes(rules, calls, submissions),
            *_own_routes(settings, topology, calls, submissions, readiness),
        ]
    )
    written = cache(lambda: documents(rules, settings.public_url))
    app = Edge(
        table,
        pages(readiness, load, written, lambda _: lifespan()),
        Admission(Verifier(settings, clock)),
        load,
        rates,
    )
    return Gateway(app, load, lifespan)


def _redis_url(settings: GatewaySettings) -> str | None:
    return settings.redis_url.get_secret_value() if settings.redis_url else None


def _sending(backends: Backends, settings: GatewaySettings) -> Forward:
    """Submissions travel together where the gateway can vouch for a batch with a key of its own."""
    if settings.mesh_key_file is None:
        return backends.forward
    return Coalesced(backends.forward, backends.forward_as_mesh).forward


def _contract_routes(rules: Iterable[Rule], calls: Calls, submissions: Submissions) -> Iterable[Route]:
    """One route per HTTP rule."""
    operations = Operations(calls)
    special: Mapping[str, Callable[[Rule], Answer]] = {
        "SubmitOrder": lambda _: submissions.answer,
    }
    for rule in rules:
        make = operations.route if rule.package == OPERATIONS else special.get(rule.name, calls.route)
        yield Route(
            rule.verb,
            Template.parse(rule.template),
            announced(rule.desc, make(rule)),
            rule.method.roles,
            place_of(rule),
            rule.method.lane,
        )


def _own_routes(
    settings: GatewaySettings,
    topology: Topology,
    calls: Calls,
    submissions: Submissions,
    readiness: Readiness,
) -> Iterable[Route]:
    """Routes that no contract declares."""
    listing = Systems(topology, readiness, show_simulators=settings.in_development)
    payloads = Inbound(calls, submissions, topology, settings.limits)
    yield Route("GET", Template.parse(systems.TEMPLATE), listing.answer, ROLES, NOWHERE)
    yield Route("GET", Template.parse(ownership.TEMPLATE), ownership.answer, ROLES, NOWHERE)
    yield Route(
        "POST",
        Template.parse(inbound.TEMPLATE),
        payloads.answer,
        inbound.translate_method().roles,
        NOWHERE,
        SUBMISSION,
    )


def _submissions(rules: Iterable[Rule], calls: Calls) -> Submissions:
    by_name = {rule.name: rule for rule in rules}
    return Submissions(calls, by_name["SubmitOrder"], by_name["GetOrder"])
