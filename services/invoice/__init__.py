"""Invoices: remembers them and their payments as the ERP states them. Start with `domain.py`."""
