"""Measures ordermesh against common ways of doing the same. Open README.md to learn what each figure means."""
