"""Every SuiteQL statement we send. Open it to see or change what is read; the columns are read in `mapping/`.

A feed's statement names each record's `lm`, the time of its last change, and `now`, both on the account's wall clock;
its three `?` are the position to read on from: time, time, id. `{ids}` stands for the places of many ids.
"""
# ruff: noqa: S608  (statements are put together from constants; every value is bound)

FORMAT = "'YYYY-MM-DD HH24:MI:SS'"
DAY = "'YYYY-MM-DD'"


def _after(changed: str, id_: str) -> str:
    """The first condition lets the database use its index, the second leaves out what was read in the same second."""
    since = f"TO_TIMESTAMP(?, {FORMAT})"
    return f"{changed} >= {since} AND ({changed} > {since} OR {id_} > ?) ORDER BY {changed}, {id_}"


def _times(changed: str) -> str:
    return f"TO_CHAR({changed}, {FORMAT}) AS lm, TO_CHAR(SYSDATE, {FORMAT}) AS now"


def _address(alias: str, prefix: str) -> str:
    columns = ("addressee", "addr1", "addr2", "addr3", "city", "state", "zip", "country")
    return ", ".join(f"{alias}.{column} AS {prefix}{column}" for column in columns)


# Customers

CUSTOMER_FEED = f"""
SELECT c.id, c.externalid, c.entityid, c.companyname, c.firstname, c.lastname, c.isinactive, c.email, c.phone,
  BUILTIN.DF(c.defaulttaxreg) AS taxid, cur.symbol AS currency, BUILTIN.DF(c.terms) AS terms,
  BUILTIN.DF(c.pricelevel) AS pricelevel, BUILTIN.DF(c.subsidiary) AS subsidiary, c.creditlimit,
  c.creditholdoverride, c.balancesearch AS balance, c.unbilledorderssearch AS unbilled,
  {_address("b", "bill_")}, {_address("s", "ship_")}, {_times("c.lastmodifieddate")}
FROM customer c
LEFT JOIN currency cur ON cur.id = c.currency
LEFT JOIN customeraddressbookentityaddress b ON b.nkey = c.defaultbillingaddress
LEFT JOIN customeraddressbookentityaddress s ON s.nkey = c.defaultshippingaddress
WHERE {_after("c.lastmodifieddate", "c.id")}
"""

# Items. Selling something changes an item's stock and not the item, so both times count

_ITEM_CHANGED = "GREATEST(i.lastmodifieddate, NVL(i.lastquantityavailablechange, i.lastmodifieddate))"
PRODUCT_FEED = f"""
SELECT i.id, i.externalid, i.itemid, i.displayname, i.description, i.itemtype, i.isinactive,
  BUILTIN.DF(i.saleunit) AS unit, {_times(_ITEM_CHANGED)}
FROM item i
WHERE {_after(_ITEM_CHANGED, "i.id")}
"""
PRICES = """
SELECT p.item, cur.symbol AS currency, BUILTIN.DF(p.pricelevel) AS pricelevel, p.pricelevel AS level_, p.quantity,
  p.unitprice
FROM pricing p JOIN currency cur ON cur.id = p.currency
WHERE p.item IN ({ids})
ORDER BY p.item, p.pricelevel, p.quantity
"""
STOCK = "SELECT a.item, a.quantityavailable FROM aggregateitemlocation a WHERE a.item IN ({ids})"
ITEMS_BY_SKU = """
SELECT i.id, i.itemid, i.itemtype, i.isinactive, BUILTIN.DF(i.saleunit) AS unit FROM item i WHERE i.itemid IN ({ids})
"""
STOCK_BY_SKU = """
SELECT i.itemid, i.itemtype, i.isinactive, a.quantityavailable
FROM item i LEFT JOIN aggregateitemlocation a ON a.item = i.id
WHERE i.itemid IN ({ids})
"""
"""A row for each location of an item, one without a quantity where it has none."""

# Orders. A fulfilment that changes alone, for a tracking number, is news of its order as well

ORDER_FEED = f"""
SELECT t.id, t.type, {_times("t.lastmodifieddate")}
FROM transaction t
WHERE t.type IN ('SalesOrd', 'ItemShip') AND {_after("t.lastmodifieddate", "t.id")}
"""
ORDERS_SHIPPED = """
SELECT l.nextdoc AS shipment, l.previousdoc AS order_ FROM previoustransactionlinelink l
WHERE l.linktype = 'ShipRcpt' AND l.nextdoc IN ({ids})
"""
ORDERS = f"""
SELECT t.id, t.externalid, t.tranid, t.status, t.taxtotal, cur.symbol AS currency,
  TO_CHAR(t.lastmodifieddate, {FORMAT}) AS lm
FROM transaction t JOIN currency cur ON cur.id = t.currency
WHERE t.id IN ({{ids}})
"""
SHIPMENTS = f"""
SELECT l.previousdoc AS order_, s.id AS shipment, s.tranid, s.status, TO_CHAR(s.trandate, {DAY}) AS shipped,
  n.id AS line, BUILTIN.DF(n.item) AS sku, n.quantity, m.trackingnumber AS tracking,
  TO_CHAR(s.lastmodifieddate, {FORMAT}) AS lm
FROM nexttransactionlinelink l
JOIN transaction s ON s.id = l.nextdoc
JOIN transactionline n ON n.transaction = l.nextdoc AND n.id = l.nextline
LEFT JOIN trackingnumbermap m ON m.transaction = s.id
WHERE l.linktype = 'ShipRcpt' AND l.previousdoc IN ({{ids}})
ORDER BY s.id, n.id
"""

# Invoices and payments

INVOICE_FEED = f"""
SELECT t.id, t.tranid, t.status, t.voided, TO_CHAR(t.trandate, {DAY}) AS issued, TO_CHAR(t.duedate, {DAY}) AS due,
  cur.symbol AS currency, t.foreigntotal, t.taxtotal, t.foreignamountunpaid AS unpaid, {_times("t.lastmodifieddate")}
FROM transaction t JOIN currency cur ON cur.id = t.currency
WHERE t.type = 'CustInvc' AND {_after("t.lastmodifieddate", "t.id")}
"""
INVOICE_LINES = """
SELECT n.transaction AS invoice, BUILTIN.DF(n.item) AS sku, n.quantity, n.foreignamount FROM transactionline n
WHERE n.transaction IN ({ids}) AND n.mainline = 'F' AND n.taxline = 'F' AND n.iscogs = 'F' AND n.item IS NOT NULL
ORDER BY n.transaction, n.linesequencenumber
"""
INVOICED_ORDERS = """
SELECT l.nextdoc AS invoice, o.externalid AS key_ FROM previoustransactionlinelink l
JOIN transaction o ON o.id = l.previousdoc
WHERE l.linktype = 'OrdBill' AND l.nextdoc IN ({ids})
"""
PAYMENT_FEED = f"""
SELECT t.id, t.tranid, TO_CHAR(t.trandate, {DAY}) AS issued, cur.symbol AS currency, {_times("t.lastmodifieddate")}
FROM transaction t JOIN currency cur ON cur.id = t.currency
WHERE t.type = 'CustPymt' AND {_after("t.lastmodifieddate", "t.id")}
"""
PAID_INVOICES = """
SELECT l.nextdoc AS payment, l.previousdoc AS invoice, l.foreignamount FROM previoustransactionlinelink l
WHERE l.linktype = 'Payment' AND l.nextdoc IN ({ids})
ORDER BY l.nextdoc, l.previousdoc
"""

# Lists

CURRENCIES = "SELECT id, symbol FROM currency"
TAX_CODES = "SELECT id, itemid FROM salestaxitem WHERE isinactive = 'F'"
