"""Products: remembers them as ERP and CRM state them, each for its own fields. Start with `domain.py`."""
