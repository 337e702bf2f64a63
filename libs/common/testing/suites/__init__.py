"""Suites that run over every implementation of a contract; a test in `tests/contract` brings the fixtures."""
