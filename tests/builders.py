"""What outside systems say and callers ask, in its smallest true form. Open it before you build a message by hand.

erp_customer("110", name="Acme")            a customer as the ERP tells it, changed at minute 0
erp_customer("110", minute=5, gone=True)    the same one, deleted five minutes later
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money as MoneyMessage
from ordermesh.common.v1 import external_ref_pb2
from ordermesh.connector.v1 import change_pb2
from ordermesh.customer.v1 import customer_pb2
from ordermesh.invoice.v1 import invoice_pb2
from ordermesh.order.v1 import order_pb2, order_service_pb2
from ordermesh.product.v1 import product_pb2

from libs.common.money import Money, render_money

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
ERP = "netsuite"
CRM = "salesforce"


def usd(amount: str) -> MoneyMessage:
    return render_money(Money(Decimal(amount), "USD"))


def a_change(
    kind: change_pb2.Kind.ValueType,
    external_id: str,
    *,
    system: str = ERP,
    minute: int = 0,
    key: str = "",
    gone: bool = False,
) -> change_pb2.ExternalChange:
    """A change without its record. minute: when it happened there."""
    change = change_pb2.ExternalChange(
        kind=kind,
        ref=external_ref_pb2.ExternalRef(system=system, external_id=external_id),
        key=key,
        version=str(minute),
        deleted=gone,
        mapping=f"{system}.test@1",
    )
    change.changed_time.FromDatetime(START + timedelta(minutes=minute))
    return change


def erp_customer(
    external_id: str,
    *,
    number: str = "C-100",
    name: str = "Acme",
    system: str = ERP,
    minute: int = 0,
    gone: bool = False,
    inactive: bool = False,
    email: str = "",
) -> change_pb2.ExternalChange:
    change = a_change(change_pb2.KIND_CUSTOMER, external_id, system=system, minute=minute, gone=gone)
    if not gone:
        state = customer_pb2.CUSTOMER_STATE_INACTIVE if inactive else customer_pb2.CUSTOMER_STATE_ACTIVE
        change.customer.CopyFrom(
            customer_pb2.Customer(number=number, name=name, state=state, currency_code="USD", email=email)
        )
    return change


def crm_customer(
    external_id: str,
    *,
    number: str = "C-100",
    owner: str = "Ada",
    segment: str = "",
    name: str = "as the CRM spells it",
    minute: int = 0,
    gone: bool = False,
) -> change_pb2.ExternalChange:
    """An account; `number` is the ERP's number as the CRM knows it."""
    change = a_change(change_pb2.KIND_CUSTOMER, external_id, system=CRM, minute=minute, key=number, gone=gone)
    if not gone:
        change.customer.CopyFrom(customer_pb2.Customer(name=name, account_owner=owner, segment=segment))
    return change


def erp_product(
    external_id: str,
    *,
    sku: str = "BOLT",
    name: str = "Bolt",
    stock: str = "10",
    system: str = ERP,
    minute: int = 0,
    gone: bool = False,
    unit: str = "EA",
) -> change_pb2.ExternalChange:
    change = a_change(change_pb2.KIND_PRODUCT, external_id, system=system, minute=minute, gone=gone)
    if not gone:
        change.product.CopyFrom(
            product_pb2.Product(
                sku=sku,
                name=name,
                state=product_pb2.PRODUCT_STATE_ACTIVE,
                unit_code=unit,
                prices=[product_pb2.Price(price_book="base", unit_price=usd("12.50"))],
                quantity_available=DecimalMessage(value=stock),
                stocked=True,
            )
        )
    return change


def crm_product(
    external_id: str,
    *,
    sku: str = "BOLT",
    name: str = "",
    text: str = "Holds.",
    minute: int = 0,
    gone: bool = False,
) -> change_pb2.ExternalChange:
    change = a_change(change_pb2.KIND_PRODUCT, external_id, system=CRM, minute=minute, key=sku, gone=gone)
    if not gone:
        change.product.CopyFrom(product_pb2.Product(name=name, marketing_text=text))
    return change


def erp_invoice(
    external_id: str,
    *,
    number: str = "INV-1",
    order_id: str = "ord_1",
    due: str = "110",
    minute: int = 0,
    gone: bool = False,
    state: invoice_pb2.InvoiceState.ValueType = invoice_pb2.INVOICE_STATE_OPEN,
) -> change_pb2.ExternalChange:
    """An invoice over 100 and 10 of tax."""
    change = a_change(change_pb2.KIND_INVOICE, external_id, minute=minute, gone=gone)
    if not gone:
        change.invoice.CopyFrom(
            invoice_pb2.Invoice(
                number=number,
                order_id=order_id,
                state=state,
                currency_code="USD",
                net_total=usd("100"),
                tax_total=usd("10"),
                total=usd("110"),
                amount_due=usd(due),
                lines=[
                    invoice_pb2.InvoiceLine(sku="BOLT", quantity=DecimalMessage(value="8"), amount=usd("100"))
                ],
            )
        )
    return change


def erp_payment(
    payment_id: str, *, invoice: str, amount: str = "110", minute: int = 0, currency: str = "USD"
) -> change_pb2.ExternalChange:
    """A payment as far as it is applied to one invoice, which is named by the ERP's id."""
    change = a_change(change_pb2.KIND_PAYMENT, f"{payment_id}/{invoice}", minute=minute)
    change.payment.CopyFrom(
        change_pb2.PaymentApplication(
            payment=invoice_pb2.Payment(
                ref=external_ref_pb2.ExternalRef(system=ERP, external_id=payment_id),
                number=f"PAY-{payment_id}",
                amount=render_money(Money(Decimal(amount), currency)),
            ),
            invoice_external_id=invoice,
        )
    )
    return change


def erp_progress(
    external_id: str,
    order_id: str,
    status: change_pb2.ErpOrderStatus.ValueType,
    *,
    minute: int = 0,
    shipped: Mapping[str, str] | None = None,
) -> change_pb2.ExternalChange:
    """What the ERP says of an order. shipped: SKU to quantity, all of it in one shipment."""
    change = a_change(change_pb2.KIND_ORDER, external_id, minute=minute, key=order_id)
    change.order.status = status
    change.order.number = f"SO{external_id}"
    if shipped:
        lines = [
            order_pb2.ShipmentLine(sku=sku, quantity=DecimalMessage(value=quantity))
            for sku, quantity in shipped.items()
        ]
        ref = external_ref_pb2.ExternalRef(system=ERP, external_id=f"{external_id}-1")
        change.order.shipments.append(order_pb2.Shipment(ref=ref, lines=lines))
    return change


def a_submission(
    *, customer_id: str = "cus_1", skus: Mapping[str, str] | None = None, key: str = "key-1"
) -> order_service_pb2.SubmitOrderRequest:
    """An order of the Acme customer. skus: SKU to quantity, each at 12.50 USD."""
    lines = [
        order_pb2.OrderLine(sku=sku, quantity=DecimalMessage(value=quantity), unit_price=usd("12.50"))
        for sku, quantity in (skus or {"BOLT": "8"}).items()
    ]
    order = order_pb2.Order(
        sold_to=order_pb2.PartyRef(customer_id=customer_id),
        currency_code="USD",
        lines=lines,
        source=external_ref_pb2.ExternalRef(system=CRM, external_id=f"801-{key}"),
    )
    return order_service_pb2.SubmitOrderRequest(idempotency_key=key, order=order)
