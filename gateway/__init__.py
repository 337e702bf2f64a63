"""The REST gateway: translates transport and nothing else. Start at `app.py`."""
