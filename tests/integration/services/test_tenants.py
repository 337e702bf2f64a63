"""Another tenant's record looks exactly like an absent one, on every route and over gRPC.

Tenant acme has one of everything. Tenant globex, with every role there is, asks for it by its true id, and then for one
that is not there at all: the two answers must be the same, but for the id itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import grpc
import httpx
import pytest
from google.rpc import status_pb2
from ordermesh.common.v1 import batch_pb2
from ordermesh.order.v1 import order_service_pb2, order_service_pb2_grpc
from protobuf import DescFieldValueScalar, Message, ScalarType

from gateway.openapi.constraints import is_required
from gateway.rules import KEY_FIELD, Rule, public_rules
from libs.common.clock import SystemClock
from libs.common.errors import Refused
from libs.common.rpc.status import error_of
from tests.builders import a_submission, erp_customer, erp_invoice, erp_product
from tests.integration.services.edge import AtTheEdge, at_the_edge
from tests.integration.services.test_orders import submitted
from tests.integration.services.world import World

VARIABLE = re.compile(r"\{([a-z_.]+)(?:=([a-z]+)/\*)?\}")
PASSING = re.compile(r'"(correlationId|traceId)": ?"[^"]*"')
ABSENT: Mapping[str, str] = {
    "customers": "cus_0000000000e000000000000000",
    "products": "prd_0000000000e000000000000000",
    "orders": "ord_0000000000e000000000000000",
    "invoices": "inv_0000000000e000000000000000",
    "exceptions": "customer.999999",
    "replays": "customer.rpl_0000000000e000000000000000",
}
"""By collection: ids that are well formed and belong to nobody."""
LISTS = ("customers", "products", "orders", "invoices", "exceptions")
FILTERS: Mapping[str, str] = {
    "customers": "number = C-100",
    "products": "sku = BOLT",
    "orders": "sourceId = 801-key-1",
    "invoices": "number = INV-1",
    "exceptions": "reason = DUPLICATE_CANDIDATE",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What acme has, by collection, and the way to it."""

    edge: AtTheEdge
    ids: Mapping[str, str]

    def headers(self, tenant: str) -> dict[str, str]:
        return {**self.edge.bearer(tenant), "If-Match": "*", "X-Correlation-Id": "one-of-mine"}

    async def ask(self, rule: Rule, record_id: str, tenant: str, key: str) -> httpx.Response:
        """The route, called for the record with a body that keeps all rules."""
        path = VARIABLE.sub(lambda v: f"{v[2]}/{record_id}" if v[2] else record_id, rule.template)
        headers = {**self.headers(tenant), "Idempotency-Key": key}
        if not rule.body:
            return await self.edge.http.request(rule.verb, path, headers=headers)
        return await self.edge.http.request(rule.verb, path, headers=headers, json=body_of(rule))


def collection_of(rule: Rule) -> str:
    """`orders` for `/v1/orders/{order_id}:hold` and `/v1/{subject=orders/*}/lineage`."""
    variable = VARIABLE.search(rule.template)
    assert variable is not None
    return variable[2] or rule.template.split("/")[2]


def by_record() -> list[Rule]:
    """Routes that name a record."""
    return [rule for rule in public_rules() if VARIABLE.search(rule.template)]


def body_of(rule: Rule) -> dict[str, str]:
    """What a request needs besides ids and headers."""
    named = {variable[1] for variable in VARIABLE.finditer(rule.template)}
    return {
        field.json_name: "{}"
        for field in rule.body_desc.fields
        if isinstance(field.value, DescFieldValueScalar)
        and field.value.scalar is ScalarType.STRING
        and is_required(field)
        and field.name not in {*named, KEY_FIELD}
    } | ({"segment": "x"} if rule.name == "UpdateCustomer" else {})


async def ground_of(edge: AtTheEdge) -> Ground:
    """One of everything for acme: a parked item and a replay too."""
    world = edge.world
    order = await submitted(world)
    world.says(erp_customer("210", number="C-200"), erp_customer("211", number="C-200"))
    world.says(erp_product("8", sku="NUT"), erp_invoice("55", order_id=order))
    await world.run()
    headers = edge.bearer()

    async def first(collection: str, field: str) -> str:
        answer = await edge.http.get(f"/v1/{collection}", headers=headers)
        return str(answer.json()[collection][0][field])

    parked = await first("exceptions", "deliveryId")
    replayed = await edge.http.post(
        "/v1/exceptions:replay", headers={**headers, "Idempotency-Key": "replay-1"}, json={"reason": "again"}
    )
    await world.settle()
    ids = {
        "customers": await first("customers", "customerId"),
        "products": await first("products", "productId"),
        "orders": order,
        "invoices": await first("invoices", "invoiceId"),
        "exceptions": parked,
        "replays": replayed.json()["replayIds"][0],
    }
    return Ground(edge, ids)


def seen(answer: httpx.Response, record_id: str) -> tuple[int, str, dict[str, str]]:
    """What a caller could tell two answers apart by."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "content-length") and not name.startswith("ratelimit")
    }
    return answer.status_code, PASSING.sub("", answer.text.replace(record_id, "ID")), headers


@pytest.mark.timeout(180)
async def test_every_route_answers_for_a_foreign_record_as_for_an_absent_one(world: World) -> None:
    async with at_the_edge(world) as edge:
        ground = await ground_of(edge)
        told = []
        for number, rule in enumerate(by_record()):
            collection = collection_of(rule)
            foreign_id, absent_id = ground.ids[collection], ABSENT[collection]
            foreign = await ground.ask(rule, foreign_id, "globex", f"foreign-{number}")
            absent = await ground.ask(rule, absent_id, "globex", f"absent-{number}")
            if seen(foreign, foreign_id) != seen(absent, absent_id):
                told.append(f"{rule.verb} {rule.template}: {foreign.text} and {absent.text}")
            if foreign.status_code != 404:
                told.append(f"{rule.verb} {rule.template}: {foreign.status_code} {foreign.text}")
        assert not told, "\n".join(told)
        own = [await ground.ask(rule, ground.ids[collection_of(rule)], "acme", "own") for rule in reading()]
        assert {answer.status_code for answer in own} == {200}, [answer.text for answer in own]


def reading() -> list[Rule]:
    """Of the routes that name a record those that acme's own answers show to be right."""
    wants_another_item = ("PreviewException", "GetCandidates")
    return [rule for rule in by_record() if rule.verb == "GET" and rule.name not in wants_another_item]


@pytest.mark.timeout(180)
async def test_every_method_answers_for_a_foreign_record_as_for_an_absent_one(world: World) -> None:
    async with at_the_edge(world) as edge:
        ground = await ground_of(edge)
        bearer = world.machine.bearer("globex", "admin")
        told = []
        for rule in by_record():
            collection = collection_of(rule)
            service = rule.package if rule.package in world.apps else service_of(collection)
            channel = await world.channel(service)
            answers = []
            for record_id in (ground.ids[collection], ABSENT[collection]):
                request = request_of(rule, record_id).to_binary()
                try:
                    await call_of(channel, rule)(request, metadata=bearer)
                    answers.append("answered")
                except Refused as refused:
                    answers.append(f"{refused.reason} {refused.detail} {refused.violations}")
            if len(set(answers)) > 1 or not answers[0].startswith("NOT_FOUND"):
                told.append(f"{rule.method.path}: {answers}")
        assert not told, "\n".join(told)


def call_of(channel: grpc.aio.Channel, rule: Rule) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(rule.method.path)
    return call


def service_of(collection: str) -> str:
    """Who owns the records; the parked item of this ground is the customer service's."""
    return "customer" if collection in ("exceptions", "replays") else collection.removesuffix("s")


def request_of(rule: Rule, record_id: str) -> Message:
    """The request that the route would make of it."""
    request = rule.request.from_json("{}") if rule.body != "*" else rule.request()
    body = message_with(rule.body_desc.type(), body_of(rule))
    if rule.body == "*":
        request = body
    elif rule.body:
        field = next(field for field in rule.desc.input.fields if field.name == rule.body)
        request[field] = body
    for variable in VARIABLE.finditer(rule.template):
        holder, _, name = variable[1].rpartition(".")
        target = getattr(request, holder) if holder else request
        setattr(target, name, f"{variable[2]}/{record_id}" if variable[2] else record_id)
    if rule.key is not None:
        request[rule.key] = f"of-{record_id}"
    return request


def message_with(message: Message, values: Mapping[str, object]) -> Message:
    for field in message.desc().fields:
        if field.json_name in values:
            message[field] = values[field.json_name]
    return message


async def test_lists_filters_and_page_tokens_lead_to_no_other_tenant(world: World) -> None:
    async with at_the_edge(world) as edge:
        await ground_of(edge)
        for collection in LISTS:
            path = f"/v1/{collection}"
            own = await edge.http.get(
                path, headers=edge.bearer(), params={"filter": FILTERS[collection], "pageSize": 1}
            )
            assert own.json()[collection], collection
            foreign = await edge.http.get(
                path, headers=edge.bearer("globex"), params={"filter": FILTERS[collection]}
            )
            assert (foreign.status_code, foreign.json()[collection]) == (200, []), collection
            token = (await edge.http.get(path, headers=edge.bearer(), params={"pageSize": 1})).json()
            carried = [
                await edge.http.get(path, headers=edge.bearer("globex"), params={"pageToken": page_token})
                for page_token in (token["nextPageToken"] or "bm9uZQ", "bm9uZQ")
            ]
            told = [(answer.status_code, answer.json()["code"]) for answer in carried]
            assert told == [(400, "PAGE_TOKEN_INVALID")] * 2, collection


async def test_an_order_for_another_tenant_s_customer_is_one_for_an_unknown(world: World) -> None:
    world.clock.advance(SystemClock().now() - world.clock.now())
    world.says(erp_customer("310", number="C-300"))
    await world.take_in("customer", tenant="globex")
    await world.settle()
    rows = await world.rows("customer", "SELECT record_id FROM customers WHERE tenant = 'globex'")
    (foreign,) = (str(row["record_id"]) for row in rows)
    told = set()
    for customer_id in (foreign, ABSENT["customers"]):
        request = a_submission(customer_id=customer_id)
        told.add((await refusal_alone(world, request)).replace(customer_id, "ID"))
        told.add((await refusal_in_batch(world, request)).replace(customer_id, "ID"))
    assert len(told) == 1, told
    assert next(iter(told)).startswith("CUSTOMER_UNKNOWN")


async def refusal_alone(world: World, request: order_service_pb2.SubmitOrderRequest) -> str:
    """What acme is told."""
    stub = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    with pytest.raises(Refused) as refused:
        await stub.SubmitOrder(request, metadata=world.machine.bearer("acme", "integration"))
    return f"{refused.value.reason} {refused.value.detail} {refused.value.violations}"


async def refusal_in_batch(world: World, request: order_service_pb2.SubmitOrderRequest) -> str:
    """What acme is told when the order travels in a batch, as the gateway sends them."""
    stub = order_service_pb2_grpc.OrderServiceStub(await world.channel("order"))
    bearer = f"Bearer {world.machine.token('acme', ['integration'])}"
    entry = batch_pb2.BatchEntry(authorization=bearer, request=request.SerializeToString())
    answer = await stub.BatchSubmitOrders(order_service_pb2.BatchSubmitOrdersRequest(entries=[entry]))
    error = error_of(status_pb2.Status.FromString(answer.outcomes[0].status), None)
    return f"{error.reason} {error.detail} {error.violations}"


async def test_a_system_of_another_tenant_is_an_unknown_one(world: World) -> None:
    async with at_the_edge(world) as edge:
        answers = [
            await edge.http.post(
                f"/v1/systems/{name}/inbound",
                headers={**edge.bearer("globex"), "X-Correlation-Id": "one-of-mine"},
                json={},
            )
            for name in ("sap", "pas")
        ]
    assert seen(answers[0], "sap") == seen(answers[1], "pas")
    assert answers[0].status_code == 404
