"""Salesforce's words to canonical ones and back: pure functions, named and versioned.

`order.py` turns a native Order into a submission, `progress.py` shows an order's progress on it, `invoice.py` mirrors
invoices and payments, `customer.py` and `product.py` go both ways. `records.py` is what a mapping gives to be written,
`values.py` holds the small conversions they share.

A new version of a mapping is a new function beside the old one, under the next number in `VERSIONS`, so that an attempt
can be replayed with the mapping that ran then.
"""
