"""The tables by name; open it to see what can be queried, then the module a table comes from for its columns."""

from collections.abc import Mapping

from connectors.netsuite.simulator.suiteql.tables import master_data, transactions
from connectors.netsuite.simulator.suiteql.tables.columns import Row, Scalar, Table

TABLES: Mapping[str, Table] = {
    "transaction": transactions.TRANSACTION,
    "transactionline": transactions.TRANSACTION_LINE,
    "nexttransactionlinelink": transactions.LINK,
    "previoustransactionlinelink": transactions.LINK,
    "trackingnumbermap": transactions.TRACKING,
    "customer": master_data.CUSTOMER,
    "customeraddressbook": master_data.ADDRESS_BOOK,
    "customeraddressbookentityaddress": master_data.ADDRESS,
    "item": master_data.ITEM,
    "pricing": master_data.PRICING,
    "inventorybalance": master_data.INVENTORY_BALANCE,
    "aggregateitemlocation": master_data.INVENTORY_BALANCE,
    "currency": master_data.reference_list("currency"),
    "term": master_data.reference_list("term"),
    "salestaxitem": master_data.reference_list("salesTaxItem"),
    "subsidiary": master_data.reference_list("subsidiary"),
    "location": master_data.reference_list("location"),
    "pricelevel": master_data.reference_list("priceLevel"),
    "unitstypeuom": master_data.reference_list("unit"),
    "deletedrecord": master_data.DELETED_RECORD,
    "dual": master_data.DUAL,
}

__all__ = ["TABLES", "Row", "Scalar", "Table"]
