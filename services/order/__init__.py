"""Orders: takes them in, decides about them, follows them to the last payment. Start with `domain.py`."""
