"""Messages to domain and back, pure. Open this file when a field is missing on the wire, or refused at the door."""

from google.protobuf.message import Message
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_events_pb2, customer_pb2, customer_service_pb2

from libs.common import money
from libs.common.errors import Refused
from libs.common.ownership import fields_to_update
from libs.common.wire import (
    link_of_change,
    parse_address,
    render_address,
    render_link,
    render_time,
)
from services.customer import domain
from services.customer.commands import TakeInFromCrm, TakeInFromErp, UpdateCustomer
from services.customer.domain import Customer, State

STATES = {
    customer_pb2.CUSTOMER_STATE_ACTIVE: State.ACTIVE,
    customer_pb2.CUSTOMER_STATE_INACTIVE: State.INACTIVE,
}


# Requests ------------------------------------------------------------------------------------------------------


def parse_update_customer(request: customer_service_pb2.UpdateCustomerRequest) -> UpdateCustomer:
    """Refused with OWNERSHIP_VIOLATION or INVALID_FIELD and the field's path."""
    customer = request.customer
    changed = fields_to_update(
        customer, request.update_mask.paths, owner="crm", identity="customer_id", path="customer"
    )
    fields = domain.CrmFields(
        account_owner=customer.account_owner if "account_owner" in changed else None,
        segment=customer.segment if "segment" in changed else None,
    )
    return UpdateCustomer(customer.customer_id, fields, request.etag)


# Answers -------------------------------------------------------------------------------------------------------


def render_updated_customer(customer: Customer) -> customer_service_pb2.UpdateCustomerResponse:
    return customer_service_pb2.UpdateCustomerResponse(customer=render_customer(customer))


def render_customer(customer: Customer) -> customer_pb2.Customer:
    """The customer as callers and connectors see it."""
    message = customer_pb2.Customer(
        customer_id=customer.record_id,
        number=customer.number,
        name=customer.name,
        legal_name=customer.legal_name,
        tax_id=customer.tax_id,
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
        links=[render_link(link) for link in customer.links],
        create_time=render_time(customer.create_time),
        update_time=render_time(customer.update_time),
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
    event_type: type[Message] = getattr(customer_events_pb2, name)
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
    """The CRM's word on a customer: the fields it owns, and the ERP's number where it knows it."""
    customer = change.customer
    fields = domain.CrmFields(account_owner=customer.account_owner, segment=customer.segment)
    number = change.key or customer.number
    return TakeInFromCrm(link_of_change(change, ""), number, None if change.deleted else fields)
