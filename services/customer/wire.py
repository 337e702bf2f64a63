"""Messages to domain and back, pure. Open this file when a field is missing on the wire, or refused at the door."""

from collections.abc import Mapping, Sequence

from google.protobuf.message import Message
from ordermesh.common.v1 import external_ref_pb2, proposal_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2, customer_service_pb2

from libs.common import money
from libs.common.conflicts import Claimed
from libs.common.durable.operations.wire import parse_exception_id, render_delivery
from libs.common.errors import Refused
from libs.common.ownership import named_fields, ownership_of
from libs.common.wire import (
    link_of_change,
    parse_address,
    render_address,
    render_link,
    render_time,
)
from services.customer import domain
from services.customer.commands import (
    Decided,
    Merged,
    TakeIn,
    TakeInFromCrm,
    TakeInFromErp,
    UpdateCustomer,
    Waiting,
)
from services.customer.domain import Customer, CustomerEvent, State

STATES = {
    customer_pb2.CUSTOMER_STATE_ACTIVE: State.ACTIVE,
    customer_pb2.CUSTOMER_STATE_INACTIVE: State.INACTIVE,
}
TOLD_AS: dict[str, str] = {CustomerEvent.SALES_CHANGED: CustomerEvent.CHANGED}
"""Facts that the contract does not tell apart."""
SERVICE = "customer"
OWNERSHIP = ownership_of(customer_pb2.Customer.DESCRIPTOR)


# Requests ------------------------------------------------------------------------------------------------------


def parse_update_customer(request: customer_service_pb2.UpdateCustomerRequest) -> UpdateCustomer:
    """Refused with OWNERSHIP_VIOLATION or INVALID_FIELD and the field's path."""
    customer = request.customer
    named = named_fields(customer, request.update_mask.paths, identity="customer_id", path="customer")
    fields = domain.CrmFields(
        account_owner=customer.account_owner if "account_owner" in named else None,
        segment=customer.segment if "segment" in named else None,
        engagement=customer.engagement if "engagement" in named else None,
    )
    return UpdateCustomer(customer.customer_id, named, fields, _contested(customer), request.etag)


def _contested(customer: customer_pb2.Customer) -> Mapping[str, object]:
    """Values of the fields of the ERP that others may be heard about: all whose policy is not to refuse."""
    return {
        "name": customer.name,
        "email": customer.email,
        "phone": customer.phone,
        "currency_code": customer.currency_code,
        "bill_to": parse_address(customer.bill_to) if customer.HasField("bill_to") else None,
        "ship_to": parse_address(customer.ship_to) if customer.HasField("ship_to") else None,
    }


def parse_item(exception_id: str) -> int:
    """Number of a parked item of this service. Refused with NOT_FOUND."""
    return parse_exception_id(SERVICE, exception_id)


# Answers -------------------------------------------------------------------------------------------------------


def render_updated_customer(claimed: Claimed[Customer]) -> customer_service_pb2.UpdateCustomerResponse:
    return customer_service_pb2.UpdateCustomerResponse(
        customer=render_customer(claimed.record),
        dropped_fields=claimed.dropped,
        proposed_fields=claimed.proposed,
    )


def render_waiting(waiting: Waiting) -> customer_service_pb2.GetCandidatesResponse:
    link = waiting.said.link
    return customer_service_pb2.GetCandidatesResponse(
        ref=external_ref_pb2.ExternalRef(system=link.system, external_id=link.external_id),
        incoming=_incoming(waiting.said),
        candidates=[
            customer_service_pb2.Candidate(
                customer=render_customer(each.customer), score=each.score, matched=each.matched
            )
            for each in waiting.candidates
        ],
    )


def _incoming(said: TakeIn) -> customer_pb2.Customer:
    claimant = said.claimant
    if claimant is None:
        return customer_pb2.Customer()
    message = customer_pb2.Customer(
        number=said.link.number or claimant.number,
        name=claimant.name,
        tax_id=claimant.tax_id,
        duns=claimant.duns,
    )
    if claimant.address:
        message.bill_to.CopyFrom(render_address(claimant.address))
    return message


def render_linked_candidate(decided: Decided) -> customer_service_pb2.LinkCandidateResponse:
    assert decided.customer is not None, "a decision to link names the customer"
    return customer_service_pb2.LinkCandidateResponse(
        exception=render_delivery(SERVICE, decided.item), customer=render_customer(decided.customer)
    )


def render_merged(merged: Merged) -> customer_service_pb2.MergeCustomerResponse:
    return customer_service_pb2.MergeCustomerResponse(
        customer=render_customer(merged.customer), survivor=render_customer(merged.survivor)
    )


def render_unmerged(merged: Merged) -> customer_service_pb2.UnmergeCustomerResponse:
    return customer_service_pb2.UnmergeCustomerResponse(
        customer=render_customer(merged.customer), survivor=render_customer(merged.survivor)
    )


def render_kept_apart(decided: Decided) -> customer_service_pb2.KeepCandidateApartResponse:
    return customer_service_pb2.KeepCandidateApartResponse(exception=render_delivery(SERVICE, decided.item))


def render_customer(customer: Customer) -> customer_pb2.Customer:
    """The customer as callers and connectors see it."""
    message = customer_pb2.Customer(
        customer_id=customer.record_id,
        number=customer.number,
        name=customer.name,
        legal_name=customer.legal_name,
        tax_id=customer.tax_id,
        duns=customer.duns,
        email=customer.email,
        phone=customer.phone,
        state=customer_pb2.CustomerState.ValueType(customer.state),
        currency_code=customer.currency,
        payment_terms=customer.payment_terms,
        credit_hold=customer.credit_hold,
        price_level=customer.price_level,
        legal_entity=customer.legal_entity,
        account_owner=customer.account_owner,
        segment=customer.segment,
        engagement=customer.engagement,
        links=[render_link(link) for link in customer.all_links],
        create_time=render_time(customer.create_time),
        update_time=render_time(customer.update_time),
        merged_into=customer.merged_into,
        etag=customer.etag,
        correlation_id=customer.correlation_id,
    )
    if customer.credit_limit:
        message.credit_limit.CopyFrom(money.render_money(customer.credit_limit))
    if customer.credit_used:
        message.credit_used.CopyFrom(money.render_money(customer.credit_used))
    if customer.bill_to:
        message.bill_to.CopyFrom(render_address(customer.bill_to))
    if customer.ship_to:
        message.ship_to.CopyFrom(render_address(customer.ship_to))
    return message


# Events and changes --------------------------------------------------------------------------------------------


def render_event(name: str, customer: Customer) -> tuple[str, bytes]:
    """Full name and data of an event: each holds the customer just after the change."""
    event_type: type[Message] = getattr(customer_events_pb2, TOLD_AS.get(name, name))
    data = event_type(customer=render_customer(customer)).SerializeToString()
    return event_type.DESCRIPTOR.full_name, data


def render_change(customer: Customer, external_id: str) -> change_pb2.Change:
    """What a connector is to write of a customer. Its key is the ERP's number, which a CRM keeps beside its own."""
    return change_pb2.Change(
        kind=change_pb2.KIND_CUSTOMER,
        intent=change_pb2.INTENT_UPSERT,
        key=customer.number,
        external_id=external_id,
        customer=render_customer(customer),
    )


def render_sales_change(customer: Customer, external_id: str, fields: Sequence[str]) -> change_pb2.Change:
    """What an ERP is to write of a customer that it has: these fields and nothing else."""
    change = render_change(customer, external_id)
    change.fields.extend(fields)
    return change


def render_proposed(
    customer: Customer, external_id: str, proposed: proposal_pb2.ChangeProposed
) -> change_pb2.Change:
    """What the owner is to write of a proposal that a steward has accepted."""
    change = render_sales_change(customer, external_id, [proposed.field])
    setattr(change.customer, proposed.field, proposed.value)
    return change


def parse_proposed(data: bytes) -> proposal_pb2.ChangeProposed:
    return proposal_pb2.ChangeProposed.FromString(data)


def parse_rejected(data: bytes) -> proposal_pb2.ProposalRejected:
    return proposal_pb2.ProposalRejected.FromString(data)


def parse_erp_change(change: change_pb2.ExternalChange) -> TakeInFromErp:
    """The ERP's word on a customer. Refused with MAPPING_FAILED without a number, MAPPING_VALUE_UNKNOWN."""
    customer = change.customer
    link = link_of_change(change, customer.number)
    return TakeInFromErp(link, None if change.deleted else _parse_erp_fields(customer))


def _parse_erp_fields(customer: customer_pb2.Customer) -> domain.ErpFields:
    if not customer.number:
        raise Refused.field("MAPPING_FAILED", "customer.number", "the ERP names none")
    if customer.state not in STATES:
        raise Refused("MAPPING_VALUE_UNKNOWN", f"customer state {customer.state} has no counterpart")
    return domain.ErpFields(
        number=customer.number,
        name=customer.name,
        legal_name=customer.legal_name,
        tax_id=customer.tax_id,
        duns=customer.duns,
        email=customer.email,
        phone=customer.phone,
        state=STATES[customer.state],
        currency=customer.currency_code,
        payment_terms=customer.payment_terms,
        credit_limit=money.money_from(customer.credit_limit) if customer.HasField("credit_limit") else None,
        credit_used=money.money_from(customer.credit_used) if customer.HasField("credit_used") else None,
        credit_hold=customer.credit_hold,
        price_level=customer.price_level,
        legal_entity=customer.legal_entity,
        bill_to=parse_address(customer.bill_to) if customer.HasField("bill_to") else None,
        ship_to=parse_address(customer.ship_to) if customer.HasField("ship_to") else None,
    )


def parse_crm_change(change: change_pb2.ExternalChange) -> TakeInFromCrm:
    """The CRM's word on a customer: the fields it owns, what it shows in others, the ERP's number where it knows it."""
    customer, link = change.customer, link_of_change(change, "")
    number = change.key or customer.number
    if change.deleted:
        return TakeInFromCrm(link, number, None)
    fields = domain.CrmFields(
        account_owner=customer.account_owner, segment=customer.segment, engagement=customer.engagement
    )
    return TakeInFromCrm(link, number, fields, {**_contested(customer), **_refused(customer)})


def _refused(customer: customer_pb2.Customer) -> Mapping[str, object]:
    """Values of the other fields of the ERP, as far as a CRM's connector reads them."""
    limit, used = (
        money.money_from(getattr(customer, name)) if customer.HasField(name) else None
        for name in ("credit_limit", "credit_used")
    )
    shown = {
        "legal_name": customer.legal_name,
        "tax_id": customer.tax_id,
        "duns": customer.duns,
        "state": STATES.get(customer.state),
        "payment_terms": customer.payment_terms,
        "credit_limit": limit,
        "credit_used": used,
        "credit_hold": customer.credit_hold,
        "price_level": customer.price_level,
        "legal_entity": customer.legal_entity,
    }
    return {name: value for name, value in shown.items() if value}
