"""Products: what the ERP owns goes out to Product2, the sales side's texts come in."""

from decimal import Decimal

from ordermesh.connector.v1 import change_pb2
from ordermesh.product.v1 import product_pb2

from connectors.salesforce.mapping import values
from connectors.salesforce.mapping.records import Fields, Target, Writing

KEY_FIELD = "ERP_Key__c"
"""Holds the SKU, which is the key under which a product is written."""

WRITABLE = {"marketing_text": ("Description", 4_000)}
"""What the CRM owns and takes from us when somebody has changed it here: our field to its field and longest text."""

PATHS = {
    "Description": "product.marketing_text",
    "Name": "product.name",
    "ProductCode": "product.sku",
    KEY_FIELD: "product.sku",
    "QuantityUnitOfMeasure": "product.unit_code",
    "ERP_Description__c": "product.description",
}

READ_FIELDS = (
    "Id",
    "IsDeleted",
    "Name",
    "ProductCode",
    "Description",
    KEY_FIELD,
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
)
"""What `product_from_record` reads."""


def writing_from_product(change: change_pb2.Change) -> Writing:
    """A Product2 with this key is the same product, whoever made it. Prices are written beside it."""
    product = change.product
    target = Target("Product2", KEY_FIELD, change.key, change.external_id)
    if change.fields:
        return Writing(target, values.named_fields(change, "product", WRITABLE), paths=PATHS)
    fields: Fields = {
        "Name": values.cut(product.name or product.sku, 255),
        "ProductCode": values.cut(product.sku, 255),
        "IsActive": product.state != product_pb2.PRODUCT_STATE_INACTIVE,
        "ERP_Description__c": values.cut(product.description, 4_000),
        "QuantityUnitOfMeasure": values.cut(product.unit_code, 40),
    }
    if product.HasField("quantity_available"):
        fields["ERP_Quantity_Available__c"] = values.number(product.quantity_available)
    if target.record_id:
        fields[KEY_FIELD] = change.key
    return Writing(target, fields, paths=PATHS)


def standard_prices(product: product_pb2.Product) -> dict[str, Decimal]:
    """One standard price per currency: the first that the ERP lists, which is its base price."""
    prices: dict[str, Decimal] = {}
    for price in product.prices:
        if price.unit_price.currency_code:
            prices.setdefault(price.unit_price.currency_code, values.amount(price.unit_price))
    return prices


def product_from_record(record: Fields) -> product_pb2.Product:
    """What the sales side says of a product."""
    sku = values.text(record.get(KEY_FIELD)) or values.text(record.get("ProductCode"))
    return product_pb2.Product(
        sku=sku[:60],
        name=values.text(record.get("Name"))[:200],
        marketing_text=values.text(record.get("Description"))[:4_000],
    )
