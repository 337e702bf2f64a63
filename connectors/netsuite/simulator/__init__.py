"""A NetSuite account on a laptop: SuiteTalk REST, SuiteQL, and the people who ship, bill and get paid.

account.py         what all parts share: the store, the clock, preferences, reference lists
schema.py          fields: how a JSON body becomes a checked record, and which names are known
record_types.py    the record types and their fields, as tables
record_service.py  the HTTP side of records: create, upsert, read, change, delete, list, transform
rendering.py       a stored record as NetSuite prints it
customers.py items.py sales_orders.py fulfilments.py invoices.py payments.py   the rules of each record
suiteql/           the query language over the same records
auth.py tba.py     OAuth 2.0 client credentials; OAuth 1.0a signatures
seed.py advance.py what `/_sim/seed` and `/_sim/advance` do
app.py             where it all meets
"""
